package cardwatch.engine.program;

import java.util.Locale;

/**
 * Lower and upper case as the Unicode Standard 17 defines them (section 3.13, "Default Case Conversion"), whatever
 * Unicode the Java runtime knows and without its own rules for words, so that live and backtest agree.
 */
final class LetterCase {
  private static final int CAPITAL_SIGMA = 0x3A3;
  private static final String FINAL_SIGMA = "ς";

  /** Upper and lower case of letters that are newer than Unicode 15, which Java 21 knows. */
  private static final int[][] NEWER = {
      {0x1C89, 0x1C8A},
      {0xA7CB, 0x264},
      {0xA7CC, 0xA7CD},
      {0xA7CE, 0xA7CF},
      {0xA7D2, 0xA7D3},
      {0xA7D4, 0xA7D5},
      {0xA7DA, 0xA7DB},
      {0xA7DC, 0x19B},
  };

  /** The same for whole alphabets: first and last upper case letter, first lower case letter (Garay, Beria Erfe). */
  private static final int[][] NEWER_ALPHABETS = {{0x10D50, 0x10D65, 0x10D70}, {0x16EA0, 0x16EB8, 0x16EBB}};

  /** Punctuation within words: Word_Break is MidLetter, MidNumLet or Single_Quote (Unicode Standard Annex 29). */
  private static final String WITHIN_WORDS =
      "'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A";

  private LetterCase() {}

  static String lower(String text) {
    return map(text, true);
  }

  static String upper(String text) {
    return map(text, false);
  }

  private static String map(String text, boolean lower) {
    StringBuilder result = null;
    int character;
    for (int at = 0; at < text.length(); at += Character.charCount(character)) {
      character = text.codePointAt(at);
      if (character >= 0x80 && result == null) {
        result = new StringBuilder(text.length() + 4).append(simple(text.substring(0, at), lower));
      }
      if (result != null) {
        result.append(mapped(text, at, character, lower));
      }
    }
    return result == null ? simple(text, lower) : result.toString();
  }

  private static String simple(String text, boolean lower) {
    return lower ? text.toLowerCase(Locale.ROOT) : text.toUpperCase(Locale.ROOT);
  }

  private static String mapped(String text, int at, int character, boolean lower) {
    if (lower && character == CAPITAL_SIGMA && endsWord(text, at)) {
      return FINAL_SIGMA;
    }
    return simple(Character.toString(newer(character, lower)), lower);
  }

  private static int newer(int character, boolean lower) {
    int from = lower ? 0 : 1;
    for (int[] letter : NEWER) {
      if (letter[from] == character) {
        return letter[1 - from];
      }
    }
    for (int[] alphabet : NEWER_ALPHABETS) {
      int first = lower ? alphabet[0] : alphabet[2];
      if (character >= first && character <= first + alphabet[1] - alphabet[0]) {
        return character - first + (lower ? alphabet[2] : alphabet[0]);
      }
    }
    return character;
  }

  /** Final_Sigma: a cased letter before it and none after it, each perhaps after characters that case ignores. */
  private static boolean endsWord(String text, int at) {
    int before = at;
    while (before > 0 && isIgnored(text.codePointBefore(before))) {
      before -= Character.charCount(text.codePointBefore(before));
    }
    if (before == 0 || !isCased(text.codePointBefore(before))) {
      return false;
    }
    int after = at + 1;
    while (after < text.length() && isIgnored(text.codePointAt(after))) {
      after += Character.charCount(text.codePointAt(after));
    }
    return after == text.length() || !isCased(text.codePointAt(after));
  }

  private static boolean isCased(int character) {
    return Character.isLowerCase(character) || Character.isUpperCase(character) || Character.isTitleCase(character);
  }

  private static boolean isIgnored(int character) {
    return switch (Character.getType(character)) {
      case Character.NON_SPACING_MARK, Character.ENCLOSING_MARK, Character.FORMAT, Character.MODIFIER_LETTER,
          Character.MODIFIER_SYMBOL ->
        true;
      default -> WITHIN_WORDS.indexOf(character) >= 0;
    };
  }
}
