package cardwatch.engine.timeline;

import cardwatch.engine.event.Row;

/** Which events of a key a measure looks at: its condition holds and the fields that it needs are not null. */
public interface Mask {
  /** Whether it looks at an event. */
  boolean includes(Row event);

  /** Tells it from other masks, also of other versions of the program and over restarts. */
  long fingerprint();
}
