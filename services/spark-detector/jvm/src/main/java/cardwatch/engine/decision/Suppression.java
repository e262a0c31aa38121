package cardwatch.engine.decision;

import cardwatch.engine.timeline.HitBits;
import cardwatch.engine.timeline.Timeline;

/**
 * Which hits of a rule raise an alert, and on which alert the others are counted (docs/rules.md, "Suppression"), found
 * from the hits before one and nothing else:
 *
 * <ul>
 *   <li>A hit opens if no earlier one is later than t − S.
 *   <li>An opening hit that lies in (t − S, t] can only be the first hit there, since none is in the S before it; and
 * then no other hit there raises an alert. <li>A slot's half is as long as S, so all its hits have the same opening hit
 * before them, and those that may repeat are the ones from S after it on: the first of these repeats.
 * </ul>
 *
 * <p>So (t − S, t] has at most one alert, and a few looks for the first hit of a range find it. Of any 4·S in which
 * hits go on, one begins with an alert.
 */
final class Suppression {
  /** How far back hits decide about a hit, in lengths S. */
  static final int REACH = 7;

  private static final int MAX_STEPS = 5;

  private final Timeline timeline;
  private final HitBits hits;
  private final long length;

  /**
   * The suppression of a key's hits.
   *
   * @param hits known from REACH·S before any hit that is asked for
   * @param length S, microseconds; 0 for a rule without suppression
   */
  Suppression(Timeline timeline, HitBits hits, long length) {
    this.timeline = timeline;
    this.hits = hits;
    this.length = length;
  }

  /** The hit whose alert a hit is counted on; the hit itself if it raises one. Hits are ordinals. */
  int alertOf(int hit) {
    if (length == 0) {
      return hit;
    }
    long upTo = timeline.time(hit);
    int to = hit + 1;
    for (int step = 0; step < MAX_STEPS; step++) {
      int from = timeline.firstAfter(upTo - length);
      int first = hits.first(from, to);
      if (first >= 0 && opens(first)) {
        return first;
      }
      int repeating = first < 0 ? -1 : repeatingOf(Math.floorDiv(upTo, 2 * length), to);
      if (repeating >= from) {
        return repeating;
      }
      upTo -= length;
      to = from;
    }
    throw new IllegalStateException(
        "a hit at " + timeline.time(hit) + " us has no alert: its earlier hits are not known");
  }

  private boolean opens(int hit) {
    return hits.last(timeline.firstAfter(timeline.time(hit) - length), hit) < 0;
  }

  /** The repeating hit of a slot, if it is before an ordinal; −1 if there is none. */
  private int repeatingOf(long slot, int to) {
    long start = slot * 2 * length;
    int end = Math.min(to, timeline.firstAfter(start + length - 1));
    int first = hits.first(Math.min(end, timeline.firstAfter(start - 1)), end);
    if (first < 0) {
      return -1;
    }
    int opening = hits.first(timeline.firstAfter(timeline.time(first) - length), first + 1);
    if (!opens(opening)) {
      return first;
    }
    int from = timeline.firstAfter(timeline.time(opening) + length - 1);
    return opening == first ? -1 : hits.first(Math.min(from, end), end);
  }
}
