package cardwatch.engine.timeline;

import cardwatch.engine.event.Field;

/**
 * What a timeline keeps about the events of a mask, so that a window need not be gone through.
 *
 * @param kind what is kept
 * @param mask position of the mask in its {@link TrackSet}
 * @param field of which field; its kind is INTEGER for SUM and SQUARES, INTEGER or DOUBLE for EXTREMES, any for
 *     DISTINCT
 */
public record Track(Kind kind, int mask, Field field) {
  /** Sums, exact sums and sums of squares, smallest and largest values, numbers of different values. */
  public enum Kind { SUM, SQUARES, EXTREMES, DISTINCT }
}
