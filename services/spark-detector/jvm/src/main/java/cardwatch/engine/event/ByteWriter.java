package cardwatch.engine.event;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Packs numbers and texts into bytes; {@link ByteReader} reads them. */
public final class ByteWriter {
  /** The form of a text is in the two lowest bits of its header; the rest is the number of bytes that follow. */
  static final int UTF_8 = 0;

  static final int HEXADECIMAL = 1;
  static final int UUID = 2;
  static final int CHARACTERS = 3;

  /** Doubles that are a multiple of this, as most coordinates are, take as many bytes as the multiple. */
  static final double DECIMALS = 1e6;

  private static final long MAX_MULTIPLE = 1L << 52;

  static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

  private byte[] bytes;
  private int size;

  /** A writer that has room for some bytes at first and grows. */
  public ByteWriter(int room) {
    bytes = new byte[Math.max(16, room)];
  }

  /** How many bytes are written. */
  public int size() {
    return size;
  }

  /** The lowest eight bits of a number. */
  public ByteWriter octet(int value) {
    reserve(1);
    bytes[size++] = (byte) value;
    return this;
  }

  /** An unsigned number, 1 to 10 bytes, seven bits in each. */
  public ByteWriter unsigned(long value) {
    reserve(10);
    long rest = value;
    while ((rest & ~0x7FL) != 0) {
      bytes[size++] = (byte) (rest | 0x80);
      rest >>>= 7;
    }
    bytes[size++] = (byte) rest;
    return this;
  }

  /** A signed number: small ones of either sign are short. */
  public ByteWriter signed(long value) {
    return unsigned(value << 1 ^ value >> 63);
  }

  /** A number of 8 bytes, the highest first. */
  public ByteWriter fixed(long value) {
    reserve(8);
    LONGS.set(bytes, size, value);
    size += 8;
    return this;
  }

  /** A double, exactly: 2 to 8 bytes for one with at most six decimals, else 9. */
  public ByteWriter number(double value) {
    long multiple = Math.round(value * DECIMALS);
    boolean exact = Double.doubleToRawLongBits(multiple / DECIMALS) == Double.doubleToRawLongBits(value);
    if (exact && Math.abs(multiple) < MAX_MULTIPLE) {
      return unsigned((multiple << 1 ^ multiple >> 63) + 1);
    }
    return unsigned(0).fixed(Double.doubleToRawLongBits(value));
  }

  /** A text that is not null, exactly; UUIDs and lower-case hexadecimal texts take half the bytes. */
  public ByteWriter text(String value) {
    if (Hexadecimal.isUuid(value)) {
      return text(UUID, Hexadecimal.pack(value.replace("-", "")));
    }
    if (Hexadecimal.isHexadecimal(value)) {
      return text(HEXADECIMAL, Hexadecimal.pack(value));
    }
    if (isAscii(value)) {
      return ascii(value);
    }
    byte[] utf = value.getBytes(StandardCharsets.UTF_8);
    boolean lossless = new String(utf, StandardCharsets.UTF_8).equals(value);
    return lossless ? text(UTF_8, utf) : characters(value);
  }

  /** Bytes as they are; the reader has to know how many. */
  public ByteWriter raw(byte[] value) {
    return raw(value, 0, value.length);
  }

  /** Part of some bytes. */
  public ByteWriter raw(byte[] value, int from, int length) {
    reserve(length);
    System.arraycopy(value, from, bytes, size, length);
    size += length;
    return this;
  }

  /** Bytes with their number before them. */
  public ByteWriter block(byte[] value) {
    return unsigned(value.length).raw(value);
  }

  /** All that is written. */
  public byte[] toBytes() {
    return Arrays.copyOf(bytes, size);
  }

  private ByteWriter text(int form, byte[] packed) {
    return unsigned((long) packed.length << 2 | form).raw(packed);
  }

  private ByteWriter ascii(String value) {
    int length = value.length();
    unsigned((long) length << 2 | UTF_8);
    reserve(length);
    for (int at = 0; at < length; at++) {
      bytes[size + at] = (byte) value.charAt(at);
    }
    size += length;
    return this;
  }

  private static boolean isAscii(String value) {
    for (int at = 0; at < value.length(); at++) {
      if (value.charAt(at) >= 128) {
        return false;
      }
    }
    return true;
  }

  /** A text that UTF-8 cannot hold, because half of a pair of surrogates is missing. */
  private ByteWriter characters(String value) {
    unsigned((2L * value.length()) << 2 | CHARACTERS);
    value.chars().forEach(one -> octet(one >> 8).octet(one));
    return this;
  }

  private void reserve(int more) {
    if (bytes.length - size < more) {
      bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, size + more));
    }
  }
}
