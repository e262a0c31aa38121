package cardwatch.engine.event;

import java.util.Arrays;

/**
 * One transaction. Within a key, transactions are ordered by (event time, transaction id), where ids compare by their
 * code points, which is the order of their UTF-8 bytes (docs/rules.md).
 *
 * <p>Times are microseconds since 1970-01-01T00:00:00Z.
 */
public final class Event implements Row, Comparable<Event> {
  private static final int FIRST_INTEGER = Field.AMOUNT_MINOR.ordinal();
  private static final int FIRST_DOUBLE = Field.LATITUDE.ordinal();

  private final long eventTime;
  private final long rawBrokerTime;
  private final String[] texts;
  private final long[] integers;
  private final double[] doubles;
  private final int nulls;

  private Event(Builder builder) {
    eventTime = builder.eventTime;
    rawBrokerTime = builder.rawBrokerTime;
    texts = builder.texts.clone();
    integers = builder.integers.clone();
    doubles = builder.doubles.clone();
    nulls = builder.nulls;
    if (isNull(Field.TRANSACTION_ID)) {
      throw new IllegalArgumentException("an event needs a transaction id");
    }
  }

  private Event(EventNumbers numbers, int at, String[] texts) {
    eventTime = numbers.eventTime(at);
    rawBrokerTime = numbers.rawBrokerTime(at);
    this.texts = texts;
    integers = new long[FIRST_DOUBLE - FIRST_INTEGER];
    doubles = new double[Field.count() - FIRST_DOUBLE];
    int missing = numbers.nullBits(at);
    for (int field = 0; field < Field.count(); field++) {
      if (field < FIRST_INTEGER) {
        missing |= texts[field] == null ? 1 << field : 0;
      } else if (field < FIRST_DOUBLE) {
        integers[field - FIRST_INTEGER] = numbers.bits(Field.at(field), at);
      } else {
        doubles[field - FIRST_DOUBLE] = Double.longBitsToDouble(numbers.bits(Field.at(field), at));
      }
    }
    nulls = missing;
  }

  /** One of a list of events that were unpacked; the texts are not copied. */
  public static Event of(EventNumbers numbers, int at, String[] texts) {
    return new Event(numbers, at, texts);
  }

  /** A bit for each field that is null, by its position. */
  int nullBits() {
    return nulls;
  }

  /** The TEXT fields by their positions; not a copy. */
  String[] texts() {
    return texts;
  }

  /** When the transaction happened, microseconds. */
  public long eventTime() {
    return eventTime;
  }

  /** When the broker appended its raw message, microseconds. */
  public long rawBrokerTime() {
    return rawBrokerTime;
  }

  /** The transaction's id. */
  public String id() {
    return texts[0];
  }

  @Override
  public boolean isNull(Field field) {
    return (nulls >> field.ordinal() & 1) != 0;
  }

  @Override
  public long integer(Field field) {
    return integers[field.ordinal() - FIRST_INTEGER];
  }

  @Override
  public double number(Field field) {
    return doubles[field.ordinal() - FIRST_DOUBLE];
  }

  @Override
  public String text(Field field) {
    return texts[field.ordinal()];
  }

  /** The order within a key; events of one transaction id and time are equal in it, whatever else they hold. */
  @Override
  public int compareTo(Event other) {
    int byTime = Long.compare(eventTime, other.eventTime);
    return byTime != 0 ? byTime : compareTexts(id(), other.id());
  }

  /**
   * The order of two arrivals of one transaction id, of which the smallest is taken: event time, fields (null first),
   * broker time.
   */
  public int compareContent(Event other) {
    int order = compareFields(other);
    return order != 0 ? order : Long.compare(rawBrokerTime, other.rawBrokerTime);
  }

  /** The order of {@link #compareContent} without the broker time. */
  public int compareFields(Event other) {
    int order = Long.compare(eventTime, other.eventTime);
    for (int at = 0; order == 0 && at < Field.count(); at++) {
      order = compareField(Field.at(at), other);
    }
    return order;
  }

  private int compareField(Field field, Event other) {
    if (isNull(field) || other.isNull(field)) {
      return Boolean.compare(!isNull(field), !other.isNull(field));
    }
    return switch (field.kind()) {
      case TEXT -> compareTexts(text(field), other.text(field));
      case INTEGER -> Long.compare(integer(field), other.integer(field));
      case DOUBLE -> Double.compare(number(field), other.number(field));
    };
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Event event && compareContent(event) == 0;
  }

  @Override
  public int hashCode() {
    return 31 * Long.hashCode(eventTime) + Arrays.hashCode(texts);
  }

  @Override
  public String toString() {
    return id() + "@" + eventTime;
  }

  /** Compares texts by code points; String's own order differs where surrogates are compared with U+E000 to U+FFFF. */
  public static int compareTexts(String left, String right) {
    int common = Math.min(left.length(), right.length());
    for (int at = 0; at < common; at++) {
      char one = left.charAt(at);
      char two = right.charAt(at);
      if (one != two) {
        boolean surrogates = Character.isSurrogate(one);
        return surrogates != Character.isSurrogate(two) ? (surrogates ? 1 : -1) : Character.compare(one, two);
      }
    }
    return Integer.compare(left.length(), right.length());
  }

  /** Collects the fields of an event; all are null at first. A builder makes one event after another. */
  public static final class Builder {
    private final String[] texts = new String[FIRST_INTEGER];
    private final long[] integers = new long[FIRST_DOUBLE - FIRST_INTEGER];
    private final double[] doubles = new double[Field.count() - FIRST_DOUBLE];
    private long eventTime;
    private long rawBrokerTime;
    private int nulls = (1 << Field.count()) - 1;

    /** The times, microseconds. */
    public Builder times(long eventTime, long rawBrokerTime) {
      this.eventTime = eventTime;
      this.rawBrokerTime = rawBrokerTime;
      return this;
    }

    /** A TEXT field; null for none. */
    public Builder text(Field field, String value) {
      texts[field.ordinal()] = value;
      return value == null ? none(field) : some(field);
    }

    /** An INTEGER field. */
    public Builder integer(Field field, long value) {
      integers[field.ordinal() - FIRST_INTEGER] = value;
      return some(field);
    }

    /** A DOUBLE field. */
    public Builder number(Field field, double value) {
      doubles[field.ordinal() - FIRST_DOUBLE] = value;
      return some(field);
    }

    /** A field without a value. */
    public Builder none(Field field) {
      nulls |= 1 << field.ordinal();
      return this;
    }

    /**
     * The event.
     *
     * @throws IllegalArgumentException it has no transaction id
     */
    public Event build() {
      return new Event(this);
    }

    private Builder some(Field field) {
      nulls &= ~(1 << field.ordinal());
      return this;
    }
  }
}
