package cardwatch.engine.timeline;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import java.util.Arrays;

/**
 * The events of a key in their order, packed: opening and saving them costs little more than copying their bytes, and a
 * field of an event is read where it lies ({@link PackedRow}, {@link PackedTexts}).
 */
final class PackedEvents {
  private static final int ONE_BYTE = 255;
  private static final int TWO_BYTES = 65_535;

  private PackedTexts texts;
  private int codeWidth;
  private int size;
  private byte[][] sources;
  private int[] rows;
  private long[] times;
  private Event[] unpacked;
  private String searched;
  private byte[] searchedBytes;

  /** No events. */
  PackedEvents() {
    texts = new PackedTexts();
    codeWidth = 1;
    allocate(4);
  }

  /** The events that {@link #write} wrote; {@code source} is what the reader reads, and must not change. */
  PackedEvents(ByteReader reader, byte[] source) {
    codeWidth = reader.octet();
    int events = reader.count();
    allocate(events + 4);
    for (; size < events; size++) {
      int row = reader.skip(PackedRow.LENGTH_BYTES);
      reader.skip(PackedRow.length(source, row) - PackedRow.LENGTH_BYTES);
      sources[size] = source;
      rows[size] = row;
      times[size] = PackedRow.time(source, row);
    }
    texts = new PackedTexts(reader, source);
  }

  int size() {
    return size;
  }

  long time(int at) {
    return times[at];
  }

  Event event(int at) {
    if (unpacked[at] == null) {
      unpacked[at] = PackedRow.unpack(sources[at], rows[at], codeWidth, texts);
    }
    return unpacked[at];
  }

  String id(int at) {
    return unpacked[at] != null ? unpacked[at].id() : PackedRow.id(sources[at], rows[at], codeWidth);
  }

  /** The value of an INTEGER field that is not null. */
  long integer(Field field, int at) {
    return PackedRow.integer(sources[at], rows[at], codeWidth, field);
  }

  /** The value of a DOUBLE field that is not null. */
  double number(Field field, int at) {
    return PackedRow.real(sources[at], rows[at], codeWidth, field);
  }

  /** A number that two events have in common if and only if they have the same text in a field other than the id. */
  int code(Field field, int at) {
    return PackedRow.code(sources[at], rows[at], codeWidth, field.ordinal());
  }

  /** One more than the largest code. */
  int codes() {
    return texts.size() + 1;
  }

  /** The position of the event with a transaction id; −1 if there is none. */
  int find(String id) {
    byte[] packed = packedId(id);
    for (int at = size - 1; at >= 0; at--) {
      byte[] source = sources[at];
      int from = rows[at] + PackedRow.idAt(source, rows[at], codeWidth);
      int to = rows[at] + PackedRow.length(source, rows[at]);
      if (to - from == packed.length && Arrays.equals(source, from, to, packed, 0, packed.length)) {
        return at;
      }
    }
    return -1;
  }

  /** Insert an event; returns its position. */
  int insert(Event event) {
    int at = size;
    while (at > 0 && isBefore(event, at - 1)) {
      at--;
    }
    if (size == rows.length) {
      grow();
    }
    System.arraycopy(sources, at, sources, at + 1, size - at);
    System.arraycopy(rows, at, rows, at + 1, size - at);
    System.arraycopy(times, at, times, at + 1, size - at);
    System.arraycopy(unpacked, at, unpacked, at + 1, size - at);
    sources[at] = PackedRow.pack(event, packedId(event.id()), codeWidth);
    rows[at] = 0;
    times[at] = event.eventTime();
    unpacked[at] = event;
    size++;
    setCodes(at);
    return at;
  }

  /** Remove the events of [from, to). */
  void remove(int from, int to) {
    System.arraycopy(sources, to, sources, from, size - to);
    System.arraycopy(rows, to, rows, from, size - to);
    System.arraycopy(times, to, times, from, size - to);
    System.arraycopy(unpacked, to, unpacked, from, size - to);
    Arrays.fill(unpacked, size - (to - from), size, null);
    Arrays.fill(sources, size - (to - from), size, null);
    size -= to - from;
  }

  /** The number of bytes that are written, about. */
  int bytes() {
    return size * 80 + 256;
  }

  void write(ByteWriter writer) {
    if (texts.mayHaveUnused()) {
      forgetUnusedTexts();
    }
    writer.octet(codeWidth).unsigned(size);
    int at = 0;
    while (at < size) {
      // Rows that lie one behind the other are copied at once.
      int from = rows[at];
      int to = from + PackedRow.length(sources[at], from);
      for (at++; at < size && sources[at] == sources[at - 1] && rows[at] == to; at++) {
        to += PackedRow.length(sources[at], to);
      }
      writer.raw(sources[at - 1], from, to - from);
    }
    texts.write(writer);
  }

  private boolean isBefore(Event event, int at) {
    long time = event.eventTime();
    return times[at] > time || times[at] == time && Event.compareTexts(id(at), event.id()) > 0;
  }

  private byte[] packedId(String id) {
    if (!id.equals(searched)) {
      searched = id;
      searchedBytes = PackedRow.packId(id);
    }
    return searchedBytes;
  }

  private void setCodes(int at) {
    Event event = unpacked[at];
    for (int field = 1; field <= PackedRow.TEXTS; field++) {
      PackedRow.setCode(sources[at], rows[at], codeWidth, field, texts.code(field, event.text(Field.at(field))));
    }
    if (widthFor(texts.size()) > codeWidth) {
      recode(widthFor(texts.size()), null);
      setCodes(at);
    }
  }

  private static int widthFor(int codes) {
    return codes <= ONE_BYTE ? 1 : codes <= TWO_BYTES ? 2 : 4;
  }

  private void forgetUnusedTexts() {
    PackedTexts used = new PackedTexts();
    int[] codes = new int[texts.size() + 1];
    for (int at = 0; at < size; at++) {
      for (int field = 1; field <= PackedRow.TEXTS; field++) {
        int code = PackedRow.code(sources[at], rows[at], codeWidth, field);
        if (code != 0 && codes[code] == 0) {
          codes[code] = used.copy(texts, code);
        }
      }
    }
    used.built();
    recode(widthFor(used.size()), codes);
    texts = used;
  }

  /** Write all rows again with codes of another width, and with other codes if they are given by the old ones. */
  private void recode(int width, int[] codes) {
    for (int at = 0; at < size; at++) {
      byte[] row = PackedRow.withWidth(sources[at], rows[at], codeWidth, width);
      for (int field = 1; field <= PackedRow.TEXTS; field++) {
        int code = PackedRow.code(sources[at], rows[at], codeWidth, field);
        PackedRow.setCode(row, 0, width, field, codes == null ? code : codes[code]);
      }
      sources[at] = row;
      rows[at] = 0;
    }
    codeWidth = width;
  }

  private void allocate(int room) {
    sources = new byte[room][];
    rows = new int[room];
    times = new long[room];
    unpacked = new Event[room];
  }

  private void grow() {
    int room = 2 * size;
    sources = Arrays.copyOf(sources, room);
    rows = Arrays.copyOf(rows, room);
    times = Arrays.copyOf(times, room);
    unpacked = Arrays.copyOf(unpacked, room);
  }
}
