package cardwatch.engine.decision;

import cardwatch.engine.event.Event;

/**
 * What arrivals of one transaction change.
 *
 * @param event the transaction as it is from now on
 * @param replaced as it was before; null if it is new
 * @param replacedAt its ordinal before; −1 if it is new
 * @param insertedAt the number of events before the touch that the transaction comes after
 */
record Change(Event event, Event replaced, int replacedAt, int insertedAt) {}
