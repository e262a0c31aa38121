package cardwatch.engine.program;

import static cardwatch.engine.program.BooleanExpression.TRUE;
import static cardwatch.engine.program.BooleanExpression.UNKNOWN;

import cardwatch.engine.event.Event;

/** One of several values of a type: {@code case}, {@code coalesce}, {@code greatest}, {@code least}. */
final class Choice {
  private Choice() {}

  /** The position of the first condition that is true; their number if none is. */
  private static int branch(BooleanExpression[] conditions, Evaluation at) {
    int branch = 0;
    while (branch < conditions.length && conditions[branch].value(at) != TRUE) {
      branch++;
    }
    return branch;
  }

  /** The value of the first condition that is true, the last value if none is. */
  static Expression byCondition(BooleanExpression[] conditions, Parts values) {
    return switch (values.type()) {
      case INTEGER -> {
        IntegerExpression[] parts = values.integers();
        yield(IntegerExpression) at -> parts[branch(conditions, at)].value(at);
      }
      case DOUBLE -> {
        DoubleExpression[] parts = values.doubles();
        yield(DoubleExpression) at -> parts[branch(conditions, at)].value(at);
      }
      case TEXT -> {
        TextExpression[] parts = values.texts();
        yield(TextExpression) at -> parts[branch(conditions, at)].value(at);
      }
      default -> {
        BooleanExpression[] parts = values.booleans();
        yield(BooleanExpression) at -> parts[branch(conditions, at)].value(at);
      }
    };
  }

  /** The first value that is not null. */
  static Expression coalesce(Parts values) {
    return switch (values.type()) {
      case INTEGER -> firstInteger(values.integers());
      case DOUBLE -> firstDouble(values.doubles());
      case TEXT -> firstText(values.texts());
      default -> firstBoolean(values.booleans());
    };
  }

  private static IntegerExpression firstInteger(IntegerExpression[] parts) {
    return at -> {
      at.none = true;
      long value = 0;
      for (int part = 0; part < parts.length && at.none; part++) {
        value = parts[part].value(at);
      }
      return value;
    };
  }

  private static DoubleExpression firstDouble(DoubleExpression[] parts) {
    return at -> {
      at.none = true;
      double value = 0;
      for (int part = 0; part < parts.length && at.none; part++) {
        value = parts[part].value(at);
      }
      return value;
    };
  }

  private static TextExpression firstText(TextExpression[] parts) {
    return at -> {
      String value = null;
      for (int part = 0; part < parts.length && value == null; part++) {
        value = parts[part].value(at);
      }
      return value;
    };
  }

  private static BooleanExpression firstBoolean(BooleanExpression[] parts) {
    return at -> {
      int value = UNKNOWN;
      for (int part = 0; part < parts.length && value == UNKNOWN; part++) {
        value = parts[part].value(at);
      }
      return value;
    };
  }

  /**
   * The largest or smallest value; null only if all are. The order is that of {@link Comparison}.
   *
   * @param sign 1 for the largest, −1 for the smallest
   */
  static Expression extreme(Parts values, int sign) {
    return switch (values.type()) {
      case INTEGER -> extremeInteger(values.integers(), sign);
      case DOUBLE -> extremeDouble(values.doubles(), sign);
      case TEXT -> extremeText(values.texts(), sign);
      default -> extremeBoolean(values.booleans(), sign);
    };
  }

  private static IntegerExpression extremeInteger(IntegerExpression[] parts, int sign) {
    return at -> {
      boolean none = true;
      long best = 0;
      for (IntegerExpression part : parts) {
        long value = part.value(at);
        if (!at.none && (none || sign * Long.compare(value, best) > 0)) {
          best = value;
          none = false;
        }
      }
      at.none = none;
      return best;
    };
  }

  private static DoubleExpression extremeDouble(DoubleExpression[] parts, int sign) {
    return at -> {
      boolean none = true;
      double best = 0;
      for (DoubleExpression part : parts) {
        double value = part.value(at);
        if (!at.none && (none || sign * Comparison.compare(value, best) > 0)) {
          best = value;
          none = false;
        }
      }
      at.none = none;
      return best;
    };
  }

  private static TextExpression extremeText(TextExpression[] parts, int sign) {
    return at -> {
      String best = null;
      for (TextExpression part : parts) {
        String value = part.value(at);
        if (value != null && (best == null || sign * Event.compareTexts(value, best) > 0)) {
          best = value;
        }
      }
      return best;
    };
  }

  private static BooleanExpression extremeBoolean(BooleanExpression[] parts, int sign) {
    return at -> {
      int best = UNKNOWN;
      for (BooleanExpression part : parts) {
        int value = part.value(at);
        if (value != UNKNOWN && (best == UNKNOWN || sign * Integer.compare(value, best) > 0)) {
          best = value;
        }
      }
      return best;
    };
  }
}
