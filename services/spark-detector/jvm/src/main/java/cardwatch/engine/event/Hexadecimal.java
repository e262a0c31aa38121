package cardwatch.engine.event;

import java.nio.charset.StandardCharsets;

/** Texts of lower-case hexadecimal digits, as tokens and UUIDs are, in half their bytes. */
final class Hexadecimal {
  private static final int SHORTEST = 8;
  private static final int UUID_LENGTH = 36;
  private static final byte[] DIGITS = "0123456789abcdef".getBytes(StandardCharsets.ISO_8859_1);

  private Hexadecimal() {}

  static boolean isHexadecimal(String text) {
    if (text.length() < SHORTEST || text.length() % 2 != 0) {
      return false;
    }
    for (int at = 0; at < text.length(); at++) {
      if (!isDigit(text.charAt(at))) {
        return false;
      }
    }
    return true;
  }

  /** Whether it is a UUID in lower case, such as 123e4567-e89b-12d3-a456-426614174000. */
  static boolean isUuid(String text) {
    if (text.length() != UUID_LENGTH) {
      return false;
    }
    for (int at = 0; at < UUID_LENGTH; at++) {
      char one = text.charAt(at);
      boolean dash = at == 8 || at == 13 || at == 18 || at == 23;
      if (dash ? one != '-' : !isDigit(one)) {
        return false;
      }
    }
    return true;
  }

  static byte[] pack(String digits) {
    byte[] packed = new byte[digits.length() / 2];
    for (int at = 0; at < packed.length; at++) {
      packed[at] = (byte) (valueOf(digits.charAt(2 * at)) << 4 | valueOf(digits.charAt(2 * at + 1)));
    }
    return packed;
  }

  static String unpack(byte[] bytes, int from, int length) {
    byte[] digits = new byte[2 * length];
    for (int at = 0; at < length; at++) {
      digits[2 * at] = DIGITS[bytes[from + at] >> 4 & 15];
      digits[2 * at + 1] = DIGITS[bytes[from + at] & 15];
    }
    return new String(digits, StandardCharsets.ISO_8859_1);
  }

  static String unpackUuid(byte[] bytes, int from) {
    StringBuilder text = new StringBuilder(UUID_LENGTH).append(unpack(bytes, from, 16));
    return text.insert(20, '-').insert(16, '-').insert(12, '-').insert(8, '-').toString();
  }

  private static int valueOf(char digit) {
    return digit <= '9' ? digit - '0' : digit - 'a' + 10;
  }

  private static boolean isDigit(char one) {
    return one >= '0' && one <= '9' || one >= 'a' && one <= 'f';
  }
}
