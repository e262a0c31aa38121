package cardwatch.engine.timeline;

import cardwatch.engine.event.Field;
import java.math.BigInteger;
import java.util.HashSet;
import java.util.Set;

/** What tracks say about ranges of a list of events, by going through them. */
final class ArrayRanges {
  /**
   * Values of at most this size have squares and products of sums that fit 64 bits, for as many events as an array
   * has.
   */
  private static final long SMALL = 1L << 24;

  private static final int FEW = 1 << 6;

  private final PackedEvents events;
  private final TrackSet tracks;
  private final OrdinalBits[] included;

  ArrayRanges(PackedEvents events, TrackSet tracks, OrdinalBits[] included) {
    this.events = events;
    this.tracks = tracks;
    this.included = included;
  }

  long sum(int track, int from, int to) {
    Track one = tracks.tracks().get(track);
    OrdinalBits mask = included[one.mask()];
    long total = 0;
    for (int at = mask.first(from, to); at >= 0; at = mask.first(at + 1, to)) {
      total += events.integer(one.field(), at);
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
      long value = events.integer(one.field(), at);
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
      BigInteger value = BigInteger.valueOf(events.integer(one.field(), at));
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
      long value = events.integer(one.field(), at);
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
      double value = events.number(one.field(), at);
      best = sign > 0 ? Math.max(best, value) : Math.min(best, value);
    }
    return best;
  }

  DistinctCounts distinct(int track) {
    Track one = tracks.tracks().get(track);
    boolean coded = one.field().kind() == Field.Kind.TEXT && one.field() != Field.TRANSACTION_ID;
    return coded ? (from, to)
                       -> codes(one.field(), included[one.mask()], from, to)
                 : (from, to) -> values(one.field(), included[one.mask()], from, to);
  }

  private int codes(Field field, OrdinalBits mask, int from, int to) {
    OrdinalBits seen = new OrdinalBits(events.codes());
    int different = 0;
    for (int at = mask.first(from, to); at >= 0; at = mask.first(at + 1, to)) {
      int code = events.code(field, at);
      different += seen.get(code) ? 0 : 1;
      seen.set(code, true);
    }
    return different;
  }

  private int values(Field field, OrdinalBits mask, int from, int to) {
    Set<Object> different = new HashSet<>();
    for (int at = mask.first(from, to); at >= 0; at = mask.first(at + 1, to)) {
      different.add(switch (field.kind()) {
        case TEXT -> events.id(at);
        case INTEGER -> events.integer(field, at);
        case DOUBLE -> events.number(field, at) + 0.0; // -0.0 and 0.0 are the same value
      });
    }
    return different.size();
  }
}
