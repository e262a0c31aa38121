package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.EventNumbers;
import cardwatch.engine.event.EventTexts;
import java.util.Arrays;
import java.util.function.IntPredicate;

/**
 * Up to 64 successive events. Its parts are read when they are needed.
 *
 * <p>Each event has a slot, 0 to 63, that it keeps while others are inserted before it; after a split it has the same
 * slot in the new leaf.
 */
final class Leaf {
  static final int MOST_EVENTS = 64;

  final int id;
  private final Blocks blocks;
  private EventNumbers numbers;
  private EventTexts texts;
  private Links links;
  private long[] arrivals = new long[MOST_EVENTS];
  private byte[] slots = new byte[MOST_EVENTS];
  private boolean eventsChanged;
  private boolean linksChanged;

  private Leaf(Blocks blocks, int id) {
    this.blocks = blocks;
    this.id = id;
  }

  /** A leaf whose blocks are in the store. */
  static Leaf stored(Blocks blocks, int id) {
    return new Leaf(blocks, id);
  }

  /** A new leaf without events. */
  static Leaf empty(Blocks blocks, int id) {
    Leaf leaf = new Leaf(blocks, id);
    leaf.numbers = new EventNumbers(MOST_EVENTS);
    leaf.texts = new EventTexts(MOST_EVENTS);
    leaf.links = new Links();
    leaf.linksChanged = true;
    return leaf;
  }

  int size() {
    return numbers().size();
  }

  long time(int at) {
    return numbers().eventTime(at);
  }

  String id(int at) {
    return texts().id(at);
  }

  Event event(int at) {
    return Event.of(numbers(), at, texts().get(at));
  }

  Name name(int at) {
    EventNumbers all = numbers();
    return new Name(all.eventTime(at), arrivals[at], slots[at]);
  }

  int slot(int at) {
    numbers();
    return slots[at];
  }

  /** The slots of the events of [from, to). */
  long slots(int from, int to) {
    numbers();
    long set = 0;
    for (int at = from; at < to; at++) {
      set |= 1L << slots[at];
    }
    return set;
  }

  /** The position of an event; −1 if it is not in this leaf. */
  int find(Name name) {
    for (int at = size() - 1; at >= 0; at--) {
      if (arrivals[at] == name.arrival()) {
        return at;
      }
    }
    return -1;
  }

  /** The position of the first event that is later than a time. */
  int firstAfter(long time) {
    EventNumbers all = numbers();
    int low = 0;
    int high = all.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (all.eventTime(middle) <= time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** The position of the first event that is not before one of a time and transaction id. */
  int lowerBound(long time, String transactionId) {
    int at = firstAfter(time);
    while (at > 0 && time(at - 1) == time && Event.compareTexts(id(at - 1), transactionId) >= 0) {
      at--;
    }
    return at;
  }

  /** Whether its events have come in their order. */
  boolean isInOrder() {
    int size = size();
    for (int at = 1; at < size; at++) {
      if (arrivals[at] < arrivals[at - 1]) {
        return false;
      }
    }
    return true;
  }

  Links links() {
    if (links == null) {
      links = Links.read(blocks.read(Blocks.key(Blocks.LINKS, id)));
    }
    return links;
  }

  void setLink(int column, int slot, Name previous) {
    links().set(column, slot, previous);
    linksChanged = true;
  }

  /** Insert an event before the one at a position. */
  void insert(int at, Event event, long arrival) {
    int size = size();
    int slot = Bits.first(~slots(0, size));
    texts().insert(at, event);
    numbers.insert(at, event);
    System.arraycopy(arrivals, at, arrivals, at + 1, size - at);
    System.arraycopy(slots, at, slots, at + 1, size - at);
    arrivals[at] = arrival;
    slots[at] = (byte) slot;
    eventsChanged = true;
  }

  void remove(int at) {
    int size = size();
    links().clear(slots[at]);
    texts().remove(at, at + 1);
    numbers.remove(at, at + 1);
    System.arraycopy(arrivals, at + 1, arrivals, at, size - at - 1);
    System.arraycopy(slots, at + 1, slots, at, size - at - 1);
    eventsChanged = true;
    linksChanged = true;
  }

  /** Move the events from a position on to a new leaf. */
  void split(int at, Leaf tail) {
    int size = size();
    links().move(slots(at, size), tail.links);
    tail.texts = texts().split(at);
    tail.numbers = numbers.split(at);
    tail.arrivals = Arrays.copyOf(Arrays.copyOfRange(arrivals, at, size), MOST_EVENTS);
    tail.slots = Arrays.copyOf(Arrays.copyOfRange(slots, at, size), MOST_EVENTS);
    eventsChanged = true;
    linksChanged = true;
    tail.eventsChanged = true;
  }

  void save(IntPredicate columnExists) {
    if (eventsChanged) {
      blocks.write(Blocks.key(Blocks.NUMBERS, id), packNumbers());
      ByteWriter writer = Blocks.writer(4096);
      texts.write(writer);
      blocks.write(Blocks.key(Blocks.TEXTS, id), writer);
    }
    if (linksChanged) {
      ByteWriter writer = Blocks.writer(1024);
      links.write(writer, columnExists);
      blocks.write(Blocks.key(Blocks.LINKS, id), writer);
    }
    eventsChanged = false;
    linksChanged = false;
  }

  void removeBlocks() {
    blocks.remove(Blocks.key(Blocks.NUMBERS, id));
    blocks.remove(Blocks.key(Blocks.TEXTS, id));
    blocks.remove(Blocks.key(Blocks.LINKS, id));
  }

  EventNumbers numbers() {
    if (numbers == null) {
      ByteReader reader = blocks.read(Blocks.key(Blocks.NUMBERS, id));
      int size = reader.count();
      long arrival = 0;
      for (int at = 0; at < size; at++) {
        arrival += reader.signed();
        arrivals[at] = arrival;
      }
      boolean ascending = reader.octet() == 0;
      for (int at = 0; at < size; at++) {
        slots[at] = (byte) (ascending ? at : reader.octet());
      }
      numbers = EventNumbers.read(reader, size);
    }
    return numbers;
  }

  private ByteWriter packNumbers() {
    int size = numbers.size();
    ByteWriter writer = Blocks.writer(2048).unsigned(size);
    long previous = 0;
    boolean ascending = true;
    for (int at = 0; at < size; at++) {
      writer.signed(arrivals[at] - previous);
      previous = arrivals[at];
      ascending &= slots[at] == at;
    }
    writer.octet(ascending ? 0 : 1);
    for (int at = 0; at < size && !ascending; at++) {
      writer.octet(slots[at]);
    }
    numbers.write(writer);
    return writer;
  }

  private EventTexts texts() {
    if (texts == null) {
      texts = EventTexts.read(blocks.read(Blocks.key(Blocks.TEXTS, id)), size());
    }
    return texts;
  }
}
