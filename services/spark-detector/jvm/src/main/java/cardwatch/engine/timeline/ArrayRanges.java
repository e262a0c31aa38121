package cardwatch.engine.timeline;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import java.math.BigInteger;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What tracks say about ranges of a list of events, by going through them. */
final class ArrayRanges {
  /**
   * Values of at most this size have squares and products of sums that fit 64 bits, for as many events as an array
   * has.
   */
  private static final long SMALL = 1L << 24;

  private static final int FEW = 1 << 6;

  private final List<Event> events;
  private final TrackSet tracks;
  private final OrdinalBits[] included;

  ArrayRanges(List<Event> events, TrackSet tracks, OrdinalBits[] included) {
    this.events = events;
    this.tracks = tracks;
    this.included = included;
  }

  long sum(int track, int from, int to) {
    Track one = tracks.tracks().get(track);
    OrdinalBits mask = included[one.mask()];
    long total = 0;
    for (int at = mask.first(from, to); at >= 0; at = mask.first(at + 1, to)) {
      total += events.get(at).integer(one.field());
    }
    return total;
  }

  double spread(int track, int from, int to) {
    Track one = tracks.tracks().get(track);
    OrdinalBits mask = included[one.mask()];
    long number = mask.count(from, to);
    long sum = 0;
    long squares = 0;
    boolean small = number <= FEW;
    for (int at = mask.first(from, to); small && at >= 0; at = mask.first(at + 1, to)) {
      long value = events.get(at).integer(one.field());
      small = value < SMALL && value > -SMALL;
      sum += value;
      squares += value * value;
    }
    return small ? (double) (number * squares - sum * sum) : exactSpread(one, from, to);
  }

  private double exactSpread(Track one, int from, int to) {
    OrdinalBits mask = included[one.mask()];
    BigInteger sum = BigInteger.ZERO;
    BigInteger squares = BigInteger.ZERO;
    for (int at = mask.first(from, to); at >= 0; at = mask.first(at + 1, to)) {
      BigInteger value = BigInteger.valueOf(events.get(at).integer(one.field()));
      sum = sum.add(value);
      squares = squares.add(value.multiply(value));
    }
    BigInteger number = BigInteger.valueOf(mask.count(from, to));
    return number.multiply(squares).subtract(sum.multiply(sum)).doubleValue();
  }

  /** The largest value, or the smallest one if the sign is negative. */
  long extremeInteger(int track, int from, int to, int sign) {
    Track one = tracks.tracks().get(track);
    OrdinalBits mask = included[one.mask()];
    long best = sign > 0 ? Long.MIN_VALUE : Long.MAX_VALUE;
    for (int at = mask.first(from, to); at >= 0; at = mask.first(at + 1, to)) {
      long value = events.get(at).integer(one.field());
      best = sign > 0 ? Math.max(best, value) : Math.min(best, value);
    }
    return best;
  }

  /** The largest value, or the smallest one if the sign is negative. */
  double extremeNumber(int track, int from, int to, int sign) {
    Track one = tracks.tracks().get(track);
    OrdinalBits mask = included[one.mask()];
    double best = sign > 0 ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY;
    for (int at = mask.first(from, to); at >= 0; at = mask.first(at + 1, to)) {
      double value = events.get(at).number(one.field());
      best = sign > 0 ? Math.max(best, value) : Math.min(best, value);
    }
    return best;
  }

  DistinctCounts distinct(int track) {
    Track one = tracks.tracks().get(track);
    OrdinalBits mask = included[one.mask()];
    int[] previous = new int[events.size()];
    Map<Object, Integer> latest = new HashMap<>();
    for (int at = mask.first(0, events.size()); at >= 0; at = mask.first(at + 1, events.size())) {
      Integer before = latest.put(value(events.get(at), one.field()), at);
      previous[at] = before == null ? -1 : before;
    }
    return (from, to) -> {
      int fresh = 0;
      for (int at = mask.first(from, to); at >= 0; at = mask.first(at + 1, to)) {
        fresh += previous[at] < from ? 1 : 0;
      }
      return fresh;
    };
  }

  private static Object value(Event event, Field field) {
    return switch (field.kind()) {
      case TEXT -> event.text(field);
      case INTEGER -> event.integer(field);
      case DOUBLE -> event.number(field) + 0.0; // -0.0 and 0.0 are the same value
    };
  }
}
