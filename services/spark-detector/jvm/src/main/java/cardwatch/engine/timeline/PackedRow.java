package cardwatch.engine.timeline;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * How {@link PackedEvents} packs one event, so that each field is found without reading the others.
 *
 * <pre>
 *   length       4 bytes, of the whole row
 *   event time   8 bytes
 *   widths       2 bytes: for each number two bits, whether it has 0 (null), 1, 4 or 8 bytes
 *   texts        a code each, but for the transaction id; 1, 2 or 4 bytes, the same in all rows of a value
 *   numbers      the INTEGER and DOUBLE fields, then the broker time less the event time. A DOUBLE of 4 bytes is
 *                a multiple of 10^−6
 *   id           the transaction id, as ByteWriter writes a text
 * </pre>
 */
final class PackedRow {
  static final int LENGTH_BYTES = 4;

  /** TEXT fields but for the transaction id, which is the first field. */
  static final int TEXTS = Field.AMOUNT_MINOR.ordinal() - 1;

  private static final int FIRST_NUMBER = Field.AMOUNT_MINOR.ordinal();
  private static final int FIRST_DOUBLE = Field.LATITUDE.ordinal() - FIRST_NUMBER;
  private static final int BROKER_TIME = Field.count() - FIRST_NUMBER;
  private static final int NUMBERS = BROKER_TIME + 1;
  private static final int WIDTHS_AT = LENGTH_BYTES + 8;
  private static final int TEXTS_AT = WIDTHS_AT + 2;

  /** By the two bits of a width, four bits each. */
  private static final int WIDTHS = 0x8410;

  private static final double MULTIPLE = 1e6;

  private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);
  private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
  private static final VarHandle SHORT = MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.BIG_ENDIAN);

  private PackedRow() {}

  static int length(byte[] bytes, int row) {
    return (int) INT.get(bytes, row);
  }

  static long time(byte[] bytes, int row) {
    return (long) LONG.get(bytes, row + LENGTH_BYTES);
  }

  /** The code of a TEXT field other than the transaction id. */
  static int code(byte[] bytes, int row, int codeWidth, int field) {
    int at = row + TEXTS_AT + (field - 1) * codeWidth;
    return switch (codeWidth) {
      case 1 -> bytes[at] & 0xFF;
      case 2 -> (short) SHORT.get(bytes, at) & 0xFFFF;
      default -> (int) INT.get(bytes, at);
    };
  }

  static void setCode(byte[] bytes, int row, int codeWidth, int field, int code) {
    int at = row + TEXTS_AT + (field - 1) * codeWidth;
    switch (codeWidth) {
      case 1 -> bytes[at] = (byte) code;
      case 2 -> SHORT.set(bytes, at, (short) code);
      default -> INT.set(bytes, at, code);
    }
  }

  /** The value of an INTEGER field that is not null. */
  static long integer(byte[] bytes, int row, int codeWidth, Field field) {
    return number(bytes, row, codeWidth, field.ordinal() - FIRST_NUMBER);
  }

  /** The value of a DOUBLE field that is not null. */
  static double real(byte[] bytes, int row, int codeWidth, Field field) {
    int number = field.ordinal() - FIRST_NUMBER;
    long bits = number(bytes, row, codeWidth, number);
    return widthOf(widths(bytes, row), number) == 4 ? bits / MULTIPLE : Double.longBitsToDouble(bits);
  }

  /** Where the packed transaction id begins, relative to the row. */
  static int idAt(byte[] bytes, int row, int codeWidth) {
    return TEXTS_AT + TEXTS * codeWidth + sizeBefore(widths(bytes, row), NUMBERS);
  }

  static String id(byte[] bytes, int row, int codeWidth) {
    int from = row + idAt(bytes, row, codeWidth);
    return new ByteReader(Arrays.copyOfRange(bytes, from, row + length(bytes, row))).text();
  }

  static Event unpack(byte[] bytes, int row, int codeWidth, PackedTexts texts) {
    long time = time(bytes, row);
    Event.Builder builder = new Event.Builder().text(Field.TRANSACTION_ID, id(bytes, row, codeWidth));
    for (int field = 1; field <= TEXTS; field++) {
      builder.text(Field.at(field), texts.text(code(bytes, row, codeWidth, field)));
    }
    int widths = widths(bytes, row);
    for (int number = 0; number < BROKER_TIME; number++) {
      Field field = Field.at(FIRST_NUMBER + number);
      if (widthOf(widths, number) != 0 && number < FIRST_DOUBLE) {
        builder.integer(field, number(bytes, row, codeWidth, number));
      } else if (widthOf(widths, number) != 0) {
        builder.number(field, real(bytes, row, codeWidth, field));
      }
    }
    return builder.times(time, time + number(bytes, row, codeWidth, BROKER_TIME)).build();
  }

  /** An event as a row, whose codes are still to be set. */
  static byte[] pack(Event event, byte[] packedId, int codeWidth) {
    long[] values = new long[NUMBERS];
    int widths = 0;
    for (int number = 0; number < NUMBERS; number++) {
      widths |= choose(event, number, values) << 2 * number;
    }
    int numbersAt = TEXTS_AT + TEXTS * codeWidth;
    int idAt = numbersAt + sizeBefore(widths, NUMBERS);
    byte[] row = new byte[idAt + packedId.length];
    INT.set(row, 0, row.length);
    LONG.set(row, LENGTH_BYTES, event.eventTime());
    SHORT.set(row, WIDTHS_AT, (short) widths);
    int at = numbersAt;
    for (int number = 0; number < NUMBERS; number++) {
      int width = widthOf(widths, number);
      switch (width) {
        case 1 -> row[at] = (byte) values[number];
        case 4 -> INT.set(row, at, (int) values[number]);
        case 8 -> LONG.set(row, at, values[number]);
        default -> {
          // null
        }
      }
      at += width;
    }
    System.arraycopy(packedId, 0, row, idAt, packedId.length);
    return row;
  }

  /** A transaction id as rows hold it. */
  static byte[] packId(String id) {
    return new ByteWriter(40).text(id).toBytes();
  }

  /** The same row with codes of another width; they are still to be set. */
  static byte[] withWidth(byte[] bytes, int row, int codeWidth, int wanted) {
    int from = TEXTS_AT + TEXTS * codeWidth;
    int to = TEXTS_AT + TEXTS * wanted;
    byte[] copy = new byte[length(bytes, row) + to - from];
    System.arraycopy(bytes, row, copy, 0, TEXTS_AT);
    System.arraycopy(bytes, row + from, copy, to, copy.length - to);
    INT.set(copy, 0, copy.length);
    return copy;
  }

  /** The two bits of a number's width; puts the number into its place in the values. */
  private static int choose(Event event, int number, long[] values) {
    if (number == BROKER_TIME) {
      values[number] = event.rawBrokerTime() - event.eventTime();
    } else if (event.isNull(Field.at(FIRST_NUMBER + number))) {
      return 0;
    } else if (number < FIRST_DOUBLE) {
      values[number] = event.integer(Field.at(FIRST_NUMBER + number));
    } else {
      double value = event.number(Field.at(FIRST_NUMBER + number));
      int multiple = (int) Math.rint(value * MULTIPLE);
      boolean exact = Double.doubleToRawLongBits(multiple / MULTIPLE) == Double.doubleToRawLongBits(value);
      values[number] = exact ? multiple : Double.doubleToRawLongBits(value);
      return exact ? 2 : 3;
    }
    long value = values[number];
    return value == (byte) value ? 1 : value == (int) value ? 2 : 3;
  }

  private static int widths(byte[] bytes, int row) {
    return (short) SHORT.get(bytes, row + WIDTHS_AT);
  }

  private static int widthOf(int widths, int number) {
    return WIDTHS >> (widths >> 2 * number & 3) * 4 & 15;
  }

  private static int sizeBefore(int widths, int number) {
    int size = 0;
    for (int before = 0; before < number; before++) {
      size += widthOf(widths, before);
    }
    return size;
  }

  private static long number(byte[] bytes, int row, int codeWidth, int number) {
    int widths = widths(bytes, row);
    int at = row + TEXTS_AT + TEXTS * codeWidth + sizeBefore(widths, number);
    return switch (widthOf(widths, number)) {
      case 1 -> bytes[at];
      case 4 -> (int) INT.get(bytes, at);
      case 8 -> (long) LONG.get(bytes, at);
      default -> 0;
    };
  }
}
