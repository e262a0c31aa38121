package cardwatch.engine.program;

import static cardwatch.engine.program.BooleanExpression.UNKNOWN;
import static cardwatch.engine.program.BooleanExpression.truth;

import java.util.function.UnaryOperator;

/** Functions of texts. A character is a code point. */
final class Texts {
  private Texts() {}

  static TextExpression map(TextExpression part, UnaryOperator<String> function) {
    return at -> {
      String text = part.value(at);
      return text == null ? null : function.apply(text);
    };
  }

  static IntegerExpression length(TextExpression part) {
    return at -> {
      String text = part.value(at);
      at.none = text == null;
      return text == null ? 0 : text.codePointCount(0, text.length());
    };
  }

  /** The first characters, at most so many. */
  static String left(String text, long length) {
    if (length >= text.length()) {
      return text;
    }
    int end = 0;
    for (long taken = 0; taken < length && end < text.length(); taken++) {
      end += Character.charCount(text.codePointAt(end));
    }
    return text.substring(0, end);
  }

  /** The last characters, at most so many. */
  static String right(String text, long length) {
    if (length >= text.length()) {
      return text;
    }
    int begin = text.length();
    for (long taken = 0; taken < length && begin > 0; taken++) {
      begin -= Character.charCount(text.codePointBefore(begin));
    }
    return text.substring(begin);
  }

  static BooleanExpression like(TextExpression part, String pattern) {
    LikePattern compiled = new LikePattern(pattern);
    return at -> {
      String text = part.value(at);
      return text == null ? UNKNOWN : truth(compiled.matches(text));
    };
  }
}
