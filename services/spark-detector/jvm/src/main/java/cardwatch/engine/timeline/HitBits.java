package cardwatch.engine.timeline;

/** For which events of a key a rule's condition holds. */
public interface HitBits {
  /**
   * The time from which on they are known, microseconds: events before it have never been evaluated; Long.MAX_VALUE at
   * first.
   */
  long knownFrom();

  /** State that all events from a time on are evaluated. */
  void knownFrom(long time);

  /** Whether the rule's condition holds for an event. */
  boolean get(int ordinal);

  /** Note whether it holds. */
  void set(int ordinal, boolean hit);

  /** The first hit of [from, to); −1 if there is none. */
  int first(int from, int to);

  /** The last hit of [from, to); −1 if there is none. */
  int last(int from, int to);
}
