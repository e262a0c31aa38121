package cardwatch.engine.program;

import static cardwatch.engine.program.BooleanExpression.FALSE;
import static cardwatch.engine.program.BooleanExpression.TRUE;
import static cardwatch.engine.program.BooleanExpression.truth;

/** Conditions over conditions. */
final class Logic {
  private Logic() {}

  static BooleanExpression and(BooleanExpression[] parts) {
    return at -> {
      int result = TRUE;
      for (int part = 0; part < parts.length && result != FALSE; part++) {
        result = Math.min(result, parts[part].value(at));
      }
      return result;
    };
  }

  static BooleanExpression or(BooleanExpression[] parts) {
    return at -> {
      int result = FALSE;
      for (int part = 0; part < parts.length && result != TRUE; part++) {
        result = Math.max(result, parts[part].value(at));
      }
      return result;
    };
  }

  static BooleanExpression not(BooleanExpression part) {
    return at -> TRUE - part.value(at);
  }

  static BooleanExpression isTrue(BooleanExpression part) {
    return at -> truth(part.value(at) == TRUE);
  }

  static BooleanExpression isFalse(BooleanExpression part) {
    return at -> truth(part.value(at) == FALSE);
  }

  static BooleanExpression isNull(Expression part) {
    if (part instanceof BooleanExpression condition) {
      return at -> truth(condition.value(at) == BooleanExpression.UNKNOWN);
    }
    if (part instanceof IntegerExpression number) {
      return at -> {
        number.value(at);
        return truth(at.none);
      };
    }
    if (part instanceof DoubleExpression number) {
      return at -> {
        number.value(at);
        return truth(at.none);
      };
    }
    if (part instanceof TextExpression text) {
      return at -> truth(text.value(at) == null);
    }
    ProfileField list = ((ListExpression) part).field();
    return at -> truth(at.profile.isNull(list));
  }
}
