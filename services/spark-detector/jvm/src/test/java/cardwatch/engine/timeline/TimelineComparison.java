package cardwatch.engine.timeline;

import static org.junit.jupiter.api.Assertions.assertEquals;

import cardwatch.engine.event.Field;
import java.util.Random;

/** Asks two timelines the same questions, and fails where the answers differ. */
public final class TimelineComparison {
  private final Timeline expected;
  private final Timeline actual;
  private final TrackSet tracks;
  private final Random random;

  public TimelineComparison(Timeline expected, Timeline actual, TrackSet tracks, Random random) {
    this.expected = expected;
    this.actual = actual;
    this.tracks = tracks;
    this.random = random;
  }

  /** All events, and all kinds of queries over some ranges. */
  public void compareAll(int ranges, long[] rules) {
    assertEquals(expected.size(), actual.size(), "size");
    for (int at = 0; at < expected.size(); at++) {
      assertEquals(expected.event(at), actual.event(at), "event " + at);
      assertEquals(expected.time(at), actual.time(at));
      assertEquals(expected.id(at), actual.id(at));
    }
    compareRanges(ranges, rules);
    for (int track = 0; track < tracks.tracks().size(); track++) {
      if (tracks.tracks().get(track).kind() == Track.Kind.DISTINCT) {
        compareDistinct(track, ranges);
      }
    }
  }

  /** The number of events, and all kinds of queries but distinct values over some ranges. */
  public void compareRanges(int ranges, long[] rules) {
    int size = expected.size();
    assertEquals(size, actual.size(), "size");
    for (int left = ranges; left > 0; left--) {
      int one = random.nextInt(size + 1);
      int two = random.nextInt(4) == 0 ? size : Math.min(size, one + random.nextInt(1 << random.nextInt(14)));
      compareRange(Math.min(one, two), Math.max(one, two), rules);
    }
  }

  private void compareRange(int from, int to, long[] rules) {
    if (from < to) {
      long time = expected.time(from) + random.nextInt(3) - 1;
      assertEquals(expected.firstAfter(time), actual.firstAfter(time), "firstAfter " + time);
      assertEquals(expected.event(from), actual.event(from));
      assertEquals(from, actual.find(expected.id(from)));
    }
    String range = "[" + from + ", " + to + ")";
    for (int mask = 0; mask < tracks.masks().size(); mask++) {
      assertEquals(expected.count(mask, from, to), actual.count(mask, from, to), "count " + mask + range);
      assertEquals(
          expected.firstIncluded(mask, from, to), actual.firstIncluded(mask, from, to), "first " + mask + range);
      assertEquals(expected.lastIncluded(mask, from, to), actual.lastIncluded(mask, from, to), "last " + mask + range);
      assertEquals(from < to && expected.included(mask, from), from < to && actual.included(mask, from));
    }
    for (int track = 0; track < tracks.tracks().size(); track++) {
      compareTrack(track, from, to);
    }
    for (long rule : rules) {
      HitBits hits = expected.hits(rule);
      assertEquals(hits.knownFrom(), actual.hits(rule).knownFrom());
      assertEquals(hits.first(from, to), actual.hits(rule).first(from, to), "first hit" + range);
      assertEquals(hits.last(from, to), actual.hits(rule).last(from, to), "last hit" + range);
      assertEquals(from < to && hits.get(from), from < to && actual.hits(rule).get(from));
    }
  }

  private void compareTrack(int track, int from, int to) {
    Track one = tracks.tracks().get(track);
    String name = one.kind() + " of " + one.field() + " [" + from + ", " + to + ")";
    if (one.kind() == Track.Kind.SUM || one.kind() == Track.Kind.SQUARES) {
      assertEquals(expected.sum(track, from, to), actual.sum(track, from, to), name);
    }
    if (one.kind() == Track.Kind.SQUARES) {
      assertEquals(expected.spread(track, from, to), actual.spread(track, from, to), name);
    }
    if (one.kind() != Track.Kind.EXTREMES || expected.count(one.mask(), from, to) == 0) {
      return;
    }
    if (one.field().kind() == Field.Kind.INTEGER) {
      assertEquals(expected.minInteger(track, from, to), actual.minInteger(track, from, to), name);
      assertEquals(expected.maxInteger(track, from, to), actual.maxInteger(track, from, to), name);
    } else {
      assertEquals(expected.minNumber(track, from, to), actual.minNumber(track, from, to), name);
      assertEquals(expected.maxNumber(track, from, to), actual.maxNumber(track, from, to), name);
    }
  }

  /** Numbers of different values over ranges from the last event back. */
  public void compareDistinct(int track, int ranges) {
    DistinctCounts one = expected.distinct(track);
    DistinctCounts two = actual.distinct(track);
    int to = expected.size();
    for (int left = ranges; left > 0; left--) {
      int from = Math.max(0, to - random.nextInt(1 << random.nextInt(14)));
      assertEquals(one.count(from, to), two.count(from, to), "distinct " + track + " [" + from + ", " + to + ")");
      to = Math.max(0, to - random.nextInt(random.nextInt(5) == 0 ? 200 : 3));
    }
  }
}
