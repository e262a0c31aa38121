package cardwatch.engine.timeline;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.event.Field;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The dictionary of the texts of {@link PackedEvents}: each text of a field once. A text's code is its position, from
 * 1; 0 is null. Two events have the same text in a field if they have the same code there.
 *
 * <p>An entry is its field, a header, and the text: as characters below 128, which a text is compared with where they
 * lie, or as {@link ByteWriter#text} writes it.
 */
final class PackedTexts {
  private static final int PLAIN = 0;
  private static final int OTHER = 1;
  private static final int MAX_PLAIN = 1 << 20;
  private static final int FEW = 8;

  private byte[] bytes;
  private int end;
  private int[] starts;
  private int[] before;
  private String[] decoded;
  private int size;
  private int sizeWhenBuilt;
  private final int[] latest = new int[Field.AMOUNT_MINOR.ordinal()];

  /** An empty dictionary. */
  PackedTexts() {
    bytes = new byte[64];
    allocate(8);
  }

  /** A dictionary that {@link #write} wrote. */
  PackedTexts(ByteReader reader, byte[] source) {
    int entries = reader.count();
    sizeWhenBuilt = reader.count();
    int length = reader.count();
    int from = reader.skip(length);
    bytes = Arrays.copyOfRange(source, from, from + length + 64);
    allocate(entries + 4);
    while (end < length) {
      index(end);
      end = contentOf(size) + (headerOf(size) >>> 1);
    }
    if (end != length || size != entries) {
      throw new IllegalStateException("the state of a key is damaged: its texts do not end where they should");
    }
  }

  int size() {
    return size;
  }

  /** The code of a text of a field; a text that is not there yet is added. */
  int code(int field, String text) {
    if (text == null) {
      return 0;
    }
    for (int code = latest[field]; code != 0; code = before[code - 1]) {
      if (matches(code, text)) {
        return code;
      }
    }
    add(field, text);
    return size;
  }

  /** The text of a code; null for 0. */
  String text(int code) {
    if (code == 0) {
      return null;
    }
    String known = decoded[code - 1];
    if (known == null) {
      known = decode(code);
      decoded[code - 1] = known;
    }
    return known;
  }

  void write(ByteWriter writer) {
    writer.unsigned(size).unsigned(sizeWhenBuilt).unsigned(end).raw(bytes, 0, end);
  }

  /** Whether so many texts were added since it was built that more than half may not be used any more. */
  boolean mayHaveUnused() {
    return size > 2 * sizeWhenBuilt + FEW;
  }

  /** State that it holds nothing but what is used. */
  void built() {
    sizeWhenBuilt = size;
  }

  /** Add a text of another dictionary that is not in this one; returns its code. */
  int copy(PackedTexts other, int code) {
    int from = other.starts[code - 1];
    append(other.bytes, from, other.contentOf(code) + (other.headerOf(code) >>> 1) - from);
    decoded[size - 1] = other.decoded[code - 1];
    return size;
  }

  private void allocate(int entries) {
    starts = new int[entries];
    before = new int[entries];
    decoded = new String[entries];
  }

  private void index(int start) {
    if (size == starts.length) {
      starts = Arrays.copyOf(starts, 2 * size);
      before = Arrays.copyOf(before, 2 * size);
      decoded = Arrays.copyOf(decoded, 2 * size);
    }
    int field = bytes[start];
    if (field < 0 || field >= latest.length) {
      throw new IllegalStateException("the state of a key is damaged: a text is of field " + field);
    }
    starts[size] = start;
    before[size] = latest[field];
    size++;
    latest[field] = size;
  }

  private int headerOf(int code) {
    int at = starts[code - 1] + 1;
    int value = 0;
    for (int shift = 0;; shift += 7, at++) {
      value |= (bytes[at] & 0x7F) << shift;
      if (bytes[at] >= 0) {
        return value;
      }
    }
  }

  private int contentOf(int code) {
    int at = starts[code - 1] + 1;
    while (bytes[at] < 0) {
      at++;
    }
    return at + 1;
  }

  private boolean matches(int code, String text) {
    int header = headerOf(code);
    if ((header & 1) == OTHER) {
      return text(code).equals(text);
    }
    int length = header >>> 1;
    if (length != text.length()) {
      return false;
    }
    int from = contentOf(code);
    for (int at = length - 1; at >= 0; at--) {
      if (bytes[from + at] != text.charAt(at)) {
        return false;
      }
    }
    return true;
  }

  private String decode(int code) {
    int header = headerOf(code);
    int from = contentOf(code);
    int length = header >>> 1;
    if ((header & 1) == PLAIN) {
      return new String(bytes, from, length, StandardCharsets.ISO_8859_1);
    }
    return new ByteReader(Arrays.copyOfRange(bytes, from, from + length)).text();
  }

  private void add(int field, String text) {
    boolean plain = isPlain(text);
    byte[] content =
        plain ? text.getBytes(StandardCharsets.ISO_8859_1) : new ByteWriter(text.length()).text(text).toBytes();
    ByteWriter entry =
        new ByteWriter(content.length + 6).octet(field).unsigned((long) content.length << 1 | (plain ? PLAIN : OTHER));
    byte[] packed = entry.raw(content).toBytes();
    append(packed, 0, packed.length);
    decoded[size - 1] = text;
  }

  private void append(byte[] source, int from, int length) {
    if (end + length > bytes.length) {
      bytes = Arrays.copyOf(bytes, 2 * (end + length));
    }
    System.arraycopy(source, from, bytes, end, length);
    index(end);
    end += length;
  }

  private static boolean isPlain(String text) {
    for (int at = 0; at < text.length(); at++) {
      if (text.charAt(at) >= 128) {
        return false;
      }
    }
    return text.length() < MAX_PLAIN;
  }
}
