package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.paged.Column.Kind;

/** What columns keep, [part][position]: how it is begun, added up and packed. */
final class Summaries {
  private Summaries() {}

  /** That of no event. */
  static void clear(Kind kind, long[][] values, int at) {
    for (int part = 0; part < kind.width; part++) {
      values[part][at] = kind != Kind.EXTREMES ? 0 : part == 0 ? Long.MAX_VALUE : Long.MIN_VALUE;
    }
  }

  /** That of no event, alone. */
  static long[][] none(Kind kind) {
    long[][] values = new long[kind.width][1];
    clear(kind, values, 0);
    return values;
  }

  /** Add the value of an event; not for bits. */
  static void addValue(Kind kind, long[][] values, int at, long value) {
    switch (kind) {
      case SUM -> values[0][at] += value;
      case SQUARES -> ExactSums.addValue(values, at, value);
      case EXTREMES -> {
        values[0][at] = Math.min(values[0][at], value);
        values[1][at] = Math.max(values[1][at], value);
      }
      default -> throw new IllegalArgumentException(kind + " keeps bits");
    }
  }

  /** Add what others keep of the positions of [from, to); bits as their numbers if they are of leaves. */
  static void merge(Kind kind, long[][] values, int at, long[][] others, int from, int to, boolean leaves) {
    for (int other = from; other < to; other++) {
      switch (kind) {
        case SUM -> values[0][at] += others[0][other];
        case SQUARES -> ExactSums.merge(values, at, others, other);
        case EXTREMES -> {
          values[0][at] = Math.min(values[0][at], others[0][other]);
          values[1][at] = Math.max(values[1][at], others[1][other]);
        }
        default -> values[0][at] += leaves ? Long.bitCount(others[0][other]) : others[0][other];
      }
    }
  }

  /** The value of an event's field in a column, from its bits: doubles as longs of the same order. */
  static long value(Field field, long bits) {
    return field.kind() == Field.Kind.DOUBLE ? orderOf(Double.longBitsToDouble(bits)) : bits;
  }

  /** A long for each double, in the order of Double.compare. */
  static long orderOf(double number) {
    long bits = Double.doubleToLongBits(number);
    return bits ^ bits >> 63 & Long.MAX_VALUE;
  }

  /** The double of a long. */
  static double number(long order) {
    return Double.longBitsToDouble(order ^ order >> 63 & Long.MAX_VALUE);
  }

  /**
   * Pack what is kept of some positions; bits are those of leaves of some sizes, or numbers where there are no sizes.
   */
  static void write(ByteWriter writer, Kind kind, long[][] values, int count, int[] sizes) {
    for (long[] part : values) {
      for (int at = 0; at < count; at++) {
        if (kind.isBits() && sizes != null) {
          boolean all = kind != Kind.LATEST && part[at] == Bits.below(sizes[at]);
          writer.octet(part[at] == 0 ? 0 : all ? 1 : 2);
          if (part[at] != 0 && !all) {
            writer.fixed(part[at]);
          }
        } else {
          writer.signed(part[at]);
        }
      }
    }
  }

  static void read(ByteReader reader, Kind kind, long[][] values, int count, int[] sizes) {
    for (long[] part : values) {
      for (int at = 0; at < count; at++) {
        if (kind.isBits() && sizes != null) {
          int form = reader.octet();
          part[at] = form == 0 ? 0 : form == 1 ? Bits.below(sizes[at]) : reader.fixed();
        } else {
          part[at] = reader.signed();
        }
      }
    }
  }
}
