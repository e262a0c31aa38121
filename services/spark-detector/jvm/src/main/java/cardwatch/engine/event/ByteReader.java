package cardwatch.engine.event;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Reads what {@link ByteWriter} has packed.
 *
 * <p>Bytes that end too early raise an IllegalStateException: the state is damaged.
 */
public final class ByteReader {
  private final byte[] bytes;
  private int at;

  /** A reader from the first byte on; the bytes are not copied. */
  public ByteReader(byte[] bytes) {
    this.bytes = bytes;
  }

  /** How many bytes are left. */
  public int remaining() {
    return bytes.length - at;
  }

  /** A number from 0 to 255. */
  public int octet() {
    require(1);
    return bytes[at++] & 255;
  }

  /**
   * Read the byte that says how the rest is laid out.
   *
   * @param what the value that is read, for the error: "the state of a key"
   * @throws IllegalStateException it is another layout than this version reads
   */
  public void requireLayout(int expected, String what) {
    int layout = octet();
    if (layout != expected) {
      throw new IllegalStateException(what + " has layout " + layout + "; this version reads layout " + expected
          + ": start the version that wrote it, or a later one");
    }
  }

  /** An unsigned number. */
  public long unsigned() {
    long value = 0;
    int shift = 0;
    while (true) {
      require(1);
      byte one = bytes[at++];
      value |= (one & 0x7FL) << shift;
      if (one >= 0) {
        return value;
      }
      shift += 7;
    }
  }

  /** An unsigned number that counts or points to something. */
  public int count() {
    return Math.toIntExact(unsigned());
  }

  /** A signed number. */
  public long signed() {
    long value = unsigned();
    return value >>> 1 ^ -(value & 1);
  }

  /** A number of 8 bytes. */
  public long fixed() {
    require(8);
    at += 8;
    return (long) ByteWriter.LONGS.get(bytes, at - 8);
  }

  /** A double. */
  public double number() {
    long value = unsigned();
    if (value == 0) {
      return Double.longBitsToDouble(fixed());
    }
    long multiple = value - 1;
    return (multiple >>> 1 ^ -(multiple & 1)) / ByteWriter.DECIMALS;
  }

  /** A text. */
  public String text() {
    long header = unsigned();
    int length = (int) (header >>> 2);
    require(length);
    int from = at;
    at += length;
    return switch ((int) (header & 3)) {
      case ByteWriter.UTF_8 -> new String(bytes, from, length, StandardCharsets.UTF_8);
      case ByteWriter.HEXADECIMAL -> Hexadecimal.unpack(bytes, from, length);
      case ByteWriter.UUID -> Hexadecimal.unpackUuid(bytes, from);
      default -> characters(from, length / 2);
    };
  }

  private String characters(int from, int length) {
    char[] characters = new char[length];
    for (int index = 0; index < length; index++) {
      characters[index] = (char) (bytes[from + 2 * index] << 8 | bytes[from + 2 * index + 1] & 255);
    }
    return new String(characters);
  }

  /** Some bytes, copied. */
  public byte[] raw(int length) {
    require(length);
    at += length;
    return Arrays.copyOfRange(bytes, at - length, at);
  }

  /** Go over some bytes without copying them; returns where they begin. */
  public int skip(int length) {
    require(length);
    at += length;
    return at - length;
  }

  /** Bytes with their number before them, copied. */
  public byte[] block() {
    return raw(count());
  }

  private void require(int length) {
    if (length < 0 || bytes.length - at < length) {
      throw new IllegalStateException("the state of a key is damaged: at byte " + at + " of " + bytes.length
          + " another " + length + " were expected");
    }
  }
}
