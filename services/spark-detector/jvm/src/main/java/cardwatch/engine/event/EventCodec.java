package cardwatch.engine.event;

import java.util.ArrayList;
import java.util.List;

/**
 * Events as bytes: the numbers in columns, then the texts with a dictionary. An event of a card takes about 60 to 100
 * bytes.
 */
public final class EventCodec {
  private static final int LAYOUT = 1;

  private EventCodec() {}

  /** The bytes of events, which are best in the order of their times. */
  public static byte[] encode(List<Event> events) {
    EventNumbers numbers = new EventNumbers(events.size());
    EventTexts texts = new EventTexts(events.size());
    for (int at = 0; at < events.size(); at++) {
      numbers.insert(at, events.get(at));
      texts.insert(at, events.get(at).texts());
    }
    ByteWriter writer = new ByteWriter(64 + 128 * events.size()).octet(LAYOUT).unsigned(events.size());
    numbers.write(writer);
    texts.write(writer);
    return writer.toBytes();
  }

  /**
   * The events of bytes, in the order in which they were given.
   *
   * @throws IllegalStateException the bytes are damaged or were written by a later version
   */
  public static List<Event> decode(byte[] bytes) {
    ByteReader reader = new ByteReader(bytes);
    reader.requireLayout(LAYOUT, "a list of events in the state");
    int size = reader.count();
    EventNumbers numbers = EventNumbers.read(reader, size);
    EventTexts texts = EventTexts.read(reader, size);
    List<Event> events = new ArrayList<>(size);
    for (int at = 0; at < size; at++) {
      events.add(Event.of(numbers, at, texts.get(at)));
    }
    return events;
  }
}
