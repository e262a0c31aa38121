package cardwatch.engine.program;

import cardwatch.engine.event.Field;

/**
 * A measure of a rule.
 *
 * @param name its name in the rule
 * @param expression as the rule writes it, for alerts: {@code count(distinct country)}
 * @param slot where its value is found; measures of a scope that compute the same share one
 * @param computation what is computed
 */
public record Measure(String name, String expression, int slot, Computation computation) {
  /** The length of its window, microseconds. */
  public long windowUs() {
    return computation.windowUs();
  }

  /** The type of its values. */
  public ValueType type() {
    return computation.type();
  }

  /**
   * What measures compute.
   *
   * @param aggregate which number
   * @param windowUs over the events of (t − windowUs, t], microseconds
   * @param field of which field; null for measures of whole transactions
   * @param mask of which events: position in the scope's TrackSet
   * @param track by which track: position in the scope's TrackSet; −1 if the aggregate needs none
   */
  public record Computation(Aggregate aggregate, long windowUs, Field field, int mask, int track) {
    /** The type of the values. */
    public ValueType type() {
      return aggregate.type(field);
    }
  }
}
