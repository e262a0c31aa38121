package cardwatch.engine.event;

/**
 * One event as bytes, as it is on its way to its key: the times, a bit for each field that is null, and the fields. The
 * bytes live as long as a micro-batch. How a key's events are kept is decided by the timelines.
 */
public final class EventCodec {
  private static final int FIRST_INTEGER = Field.AMOUNT_MINOR.ordinal();
  private static final int FIRST_DOUBLE = Field.LATITUDE.ordinal();

  private EventCodec() {}

  /** Write an event. */
  public static void write(ByteWriter writer, Event event) {
    int nulls = event.nullBits();
    writer.fixed(event.eventTime()).signed(event.rawBrokerTime() - event.eventTime()).unsigned(nulls);
    String[] texts = event.texts();
    for (int field = 0; field < FIRST_INTEGER; field++) {
      if ((nulls >> field & 1) == 0) {
        writer.text(texts[field]);
      }
    }
    for (int field = FIRST_INTEGER; field < Field.count(); field++) {
      if ((nulls >> field & 1) == 0) {
        if (field < FIRST_DOUBLE) {
          writer.signed(event.integer(Field.at(field)));
        } else {
          writer.number(event.number(Field.at(field)));
        }
      }
    }
  }

  /**
   * Read an event.
   *
   * @throws IllegalStateException the bytes are damaged
   */
  public static Event read(ByteReader reader) {
    long time = reader.fixed();
    Event.Builder builder = new Event.Builder().times(time, time + reader.signed());
    int nulls = reader.count();
    for (int field = 0; field < Field.count(); field++) {
      if ((nulls >> field & 1) == 0) {
        Field one = Field.at(field);
        switch (one.kind()) {
          case TEXT -> builder.text(one, reader.text());
          case INTEGER -> builder.integer(one, reader.signed());
          case DOUBLE -> builder.number(one, reader.number());
        }
      }
    }
    return builder.build();
  }
}
