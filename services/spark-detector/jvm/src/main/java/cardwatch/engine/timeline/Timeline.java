package cardwatch.engine.timeline;

import cardwatch.engine.event.Event;

/**
 * The events of one key in their order, and queries over ranges of them.
 *
 * <p>An ordinal is a position in the order, from 0; ordinals and views hold until the next insertion or eviction.
 * Ranges are half open: [from, to). The window (t − W, t] is [firstAfter(t − W), firstAfter(t)). Times are
 * microseconds. Masks and tracks are positions in the TrackSet that the timeline was opened with.
 */
public interface Timeline {
  /** How many events there are. */
  int size();

  /** The event time of an event. */
  long time(int ordinal);

  /** An event with all its fields. */
  Event event(int ordinal);

  /** The transaction id of an event. */
  String id(int ordinal);

  /** The ordinal of the event with a transaction id; −1 if there is none. */
  int find(String transactionId);

  /** The ordinal of the first event that is later than a time; size() if none is. */
  int firstAfter(long time);

  /** Insert an event, wherever its time puts it. */
  Insertion insert(Event event);

  /** How many events of a range a mask includes. */
  int count(int mask, int from, int to);

  /** Whether a mask includes an event. */
  boolean included(int mask, int ordinal);

  /** The first event of a range that a mask includes; −1 if none. */
  int firstIncluded(int mask, int from, int to);

  /** The last event of a range that a mask includes; −1 if none. */
  int lastIncluded(int mask, int from, int to);

  /** The sum over a range of a SUM or SQUARES track; wraps at 64 bits, 0 where nothing is included. */
  long sum(int track, int from, int to);

  /**
   * n·Σx² − (Σx)² over a range of a SQUARES track, n being the number of included events: exact up to the rounding to a
   * double, however large the values are.
   */
  double spread(int track, int from, int to);

  /** The smallest value of an EXTREMES track of an INTEGER field; meaningless where nothing is included. */
  long minInteger(int track, int from, int to);

  /** The largest value of an EXTREMES track of an INTEGER field; meaningless where nothing is included. */
  long maxInteger(int track, int from, int to);

  /** The smallest value of an EXTREMES track of a DOUBLE field; meaningless where nothing is included. */
  double minNumber(int track, int from, int to);

  /** The largest value of an EXTREMES track of a DOUBLE field; meaningless where nothing is included. */
  double maxNumber(int track, int from, int to);

  /** Numbers of different values of a DISTINCT track. */
  DistinctCounts distinct(int track);

  /**
   * How many events are gone through, as far as they have not been, before a mask and a track can be asked for.
   *
   * @param track −1 for the mask alone
   */
  int unbuilt(int mask, int track);

  /** Go through them; without it, the first query does. */
  void build(int mask, int track);

  /** The hits of a rule, by its fingerprint, as they were last set; kept with the events. */
  HitBits hits(long ruleFingerprint);

  /** Forget the hits of all rules but these. */
  void retainHits(long[] ruleFingerprints);

  /** Remove events that are not later than a time. */
  void evictUntil(long time);

  /** Write what has changed to the store. */
  void save();
}
