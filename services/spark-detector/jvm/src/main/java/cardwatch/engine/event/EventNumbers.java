package cardwatch.engine.event;

import java.util.Arrays;

/** Times, INTEGER and DOUBLE fields of a list of events, in columns. */
public final class EventNumbers {
  private static final int INTEGERS = Field.LATITUDE.ordinal() - Field.AMOUNT_MINOR.ordinal();
  private static final int DOUBLES = Field.count() - Field.LATITUDE.ordinal();

  /** Two times, the null bits of numeric fields, the fields; doubles as their bits. */
  private static final int BROKER_TIME = 1;

  private static final int NULLS = 2;
  private static final int FIELDS = 3;
  private static final int FIRST_NUMERIC = Field.AMOUNT_MINOR.ordinal();

  private final long[][] columns = new long[FIELDS + INTEGERS + DOUBLES][];
  private int size;

  /** An empty list that has room for some events at first and grows. */
  public EventNumbers(int room) {
    Arrays.setAll(columns, column -> new long[Math.max(4, room)]);
  }

  /** How many events there are. */
  public int size() {
    return size;
  }

  /** When an event happened, microseconds. */
  public long eventTime(int at) {
    return columns[0][at];
  }

  long rawBrokerTime(int at) {
    return columns[BROKER_TIME][at];
  }

  /** The null bits of numeric fields, at the positions that {@link Event#nullBits} has them. */
  int nullBits(int at) {
    return (int) columns[NULLS][at] << FIRST_NUMERIC;
  }

  /** The value of an INTEGER field, or the bits of a DOUBLE field; 0 where it is null. */
  public long bits(Field field, int at) {
    return columns[FIELDS + field.ordinal() - FIRST_NUMERIC][at];
  }

  /** Insert an event before the one at a position. */
  public void insert(int at, Event event) {
    if (size == columns[0].length) {
      Arrays.setAll(columns, column -> Arrays.copyOf(columns[column], size * 2));
    }
    for (long[] column : columns) {
      System.arraycopy(column, at, column, at + 1, size - at);
    }
    size++;
    columns[0][at] = event.eventTime();
    columns[BROKER_TIME][at] = event.rawBrokerTime();
    columns[NULLS][at] = event.nullBits() >>> FIRST_NUMERIC;
    for (int field = FIRST_NUMERIC; field < Field.count(); field++) {
      columns[FIELDS + field - FIRST_NUMERIC][at] = bits(event, Field.at(field));
    }
  }

  /** Remove the events of [from, to). */
  public void remove(int from, int to) {
    for (long[] column : columns) {
      System.arraycopy(column, to, column, from, size - to);
    }
    size -= to - from;
  }

  /** Remove the events from a position on, and return them. */
  public EventNumbers split(int at) {
    EventNumbers tail = new EventNumbers(columns[0].length);
    for (int column = 0; column < columns.length; column++) {
      System.arraycopy(columns[column], at, tail.columns[column], 0, size - at);
    }
    tail.size = size - at;
    size = at;
    return tail;
  }

  /** Pack them. */
  public void write(ByteWriter writer) {
    long previous = 0;
    for (int at = 0; at < size; at++) {
      writer.signed(columns[0][at] - previous);
      previous = columns[0][at];
    }
    for (int at = 0; at < size; at++) {
      writer.signed(columns[BROKER_TIME][at] - columns[0][at]);
    }
    for (int at = 0; at < size; at++) {
      writer.unsigned(columns[NULLS][at]);
    }
    for (int field = 0; field < INTEGERS + DOUBLES; field++) {
      for (int at = 0; at < size; at++) {
        if ((columns[NULLS][at] >> field & 1) != 0) {
          continue;
        }
        if (field < INTEGERS) {
          writer.signed(columns[FIELDS + field][at]);
        } else {
          writer.number(Double.longBitsToDouble(columns[FIELDS + field][at]));
        }
      }
    }
  }

  /** Unpack a list of a given size. */
  public static EventNumbers read(ByteReader reader, int size) {
    EventNumbers numbers = new EventNumbers(size + 1);
    numbers.size = size;
    long[][] columns = numbers.columns;
    long previous = 0;
    for (int at = 0; at < size; at++) {
      previous += reader.signed();
      columns[0][at] = previous;
    }
    for (int at = 0; at < size; at++) {
      columns[BROKER_TIME][at] = columns[0][at] + reader.signed();
    }
    for (int at = 0; at < size; at++) {
      columns[NULLS][at] = reader.unsigned();
    }
    for (int field = 0; field < INTEGERS + DOUBLES; field++) {
      for (int at = 0; at < size; at++) {
        if ((columns[NULLS][at] >> field & 1) == 0) {
          columns[FIELDS + field][at] =
              field < INTEGERS ? reader.signed() : Double.doubleToRawLongBits(reader.number());
        }
      }
    }
    return numbers;
  }

  private static long bits(Event event, Field field) {
    if (event.isNull(field)) {
      return 0;
    }
    return field.kind() == Field.Kind.INTEGER ? event.integer(field) : Double.doubleToRawLongBits(event.number(field));
  }
}
