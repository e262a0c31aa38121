package cardwatch.engine.program;

/**
 * SQL's LIKE: {@code %} is any text, {@code _} one character (a code point, also a line's end), everything else itself.
 * There is no escape character. Linear in practice, at worst the product of both lengths.
 */
final class LikePattern {
  private final int[] pattern;

  LikePattern(String pattern) {
    this.pattern = pattern.codePoints().toArray();
  }

  boolean matches(String text) {
    int sign = 0;
    int at = 0;
    // Where the last % stands and how far its text reaches: all that ever has to be tried again.
    int anySign = -1;
    int anyEnd = 0;
    while (at < text.length()) {
      int character = text.codePointAt(at);
      if (sign < pattern.length && pattern[sign] == '%') {
        anySign = sign++;
        anyEnd = at;
      } else if (sign < pattern.length && (pattern[sign] == '_' || pattern[sign] == character)) {
        sign++;
        at += Character.charCount(character);
      } else if (anySign >= 0) {
        sign = anySign + 1;
        anyEnd += Character.charCount(text.codePointAt(anyEnd));
        at = anyEnd;
      } else {
        return false;
      }
    }
    while (sign < pattern.length && pattern[sign] == '%') {
      sign++;
    }
    return sign == pattern.length;
  }
}
