package cardwatch.engine.timeline;

import cardwatch.engine.event.Event;

/**
 * What inserting an event has changed.
 *
 * @param outcome what happened
 * @param replaced the event of the same transaction id that was taken out; null unless REPLACED
 */
public record Insertion(Outcome outcome, Event replaced) {
  /** Of two arrivals of one transaction id the smaller one by {@link Event#compareContent} is kept. */
  public enum Outcome { ADDED, REPLACED, KEPT }
}
