package cardwatch.engine.program;

import static cardwatch.engine.program.BooleanExpression.FALSE;
import static cardwatch.engine.program.BooleanExpression.TRUE;
import static cardwatch.engine.program.BooleanExpression.UNKNOWN;
import static cardwatch.engine.program.BooleanExpression.truth;

import java.util.Arrays;
import java.util.Set;

/** Looking values up: null in anything is unknown. */
final class Membership {
  private Membership() {}

  static BooleanExpression texts(TextExpression part, Set<String> values) {
    return at -> {
      String text = part.value(at);
      return text == null ? UNKNOWN : truth(values.contains(text));
    };
  }

  static BooleanExpression integers(IntegerExpression part, long[] values) {
    long[] sorted = values.clone();
    Arrays.sort(sorted);
    return at -> {
      long number = part.value(at);
      return at.none ? UNKNOWN : truth(Arrays.binarySearch(sorted, number) >= 0);
    };
  }

  static BooleanExpression doubles(DoubleExpression part, double[] values) {
    return at -> {
      double number = part.value(at);
      return at.none ? UNKNOWN : truth(Arrays.stream(values).anyMatch(value -> Comparison.compare(value, number) == 0));
    };
  }

  static BooleanExpression booleans(BooleanExpression part, boolean[] values) {
    boolean[] allowed = new boolean[3];
    for (boolean value : values) {
      allowed[value ? TRUE : FALSE] = true;
    }
    return at -> {
      int value = part.value(at);
      return value == UNKNOWN ? UNKNOWN : truth(allowed[value]);
    };
  }

  /** Whether a list of the profile has a text; unknown without a profile. */
  static BooleanExpression profileTexts(TextExpression part, ProfileField list) {
    return at -> {
      String text = at.profile.isNull(list) ? null : part.value(at);
      return text == null ? UNKNOWN : truth(at.profile.texts(list).contains(text));
    };
  }

  /** Whether a list of the profile has an integer; unknown without a profile. */
  static BooleanExpression profileIntegers(IntegerExpression part, ProfileField list) {
    return at -> {
      long number = part.value(at);
      return at.none || at.profile.isNull(list) ? UNKNOWN : truth(at.profile.integers(list).contains(number));
    };
  }
}
