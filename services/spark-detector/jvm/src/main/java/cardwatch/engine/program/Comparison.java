package cardwatch.engine.program;

import static cardwatch.engine.program.BooleanExpression.UNKNOWN;
import static cardwatch.engine.program.BooleanExpression.truth;

import cardwatch.engine.event.Event;

/**
 * Comparisons of two values; with null they are unknown. NaN equals itself and is larger than all other numbers, texts
 * are compared by code points, false is smaller than true.
 */
enum Comparison {
  EQ(0b010),
  NE(0b101),
  LT(0b001),
  LE(0b011),
  GT(0b100),
  GE(0b110);

  /** Bit 0: holds where the left one is smaller; bit 1: where they are equal; bit 2: where it is larger. */
  private final int holds;

  Comparison(int holds) {
    this.holds = holds;
  }

  private int of(int order) {
    return truth((holds >> Integer.signum(order) + 1 & 1) != 0);
  }

  BooleanExpression integers(IntegerExpression left, IntegerExpression right) {
    return at -> {
      long one = left.value(at);
      if (at.none) {
        return UNKNOWN;
      }
      long two = right.value(at);
      return at.none ? UNKNOWN : of(Long.compare(one, two));
    };
  }

  BooleanExpression doubles(DoubleExpression left, DoubleExpression right) {
    return at -> {
      double one = left.value(at);
      if (at.none) {
        return UNKNOWN;
      }
      double two = right.value(at);
      return at.none ? UNKNOWN : of(compare(one, two));
    };
  }

  BooleanExpression texts(TextExpression left, TextExpression right) {
    boolean equality = this == EQ || this == NE;
    return at -> {
      String one = left.value(at);
      String two = one == null ? null : right.value(at);
      if (one == null || two == null) {
        return UNKNOWN;
      }
      return equality ? truth(one.equals(two) == (this == EQ)) : of(Event.compareTexts(one, two));
    };
  }

  BooleanExpression booleans(BooleanExpression left, BooleanExpression right) {
    return at -> {
      int one = left.value(at);
      int two = right.value(at);
      return one == UNKNOWN || two == UNKNOWN ? UNKNOWN : of(Integer.compare(one, two));
    };
  }

  /** Unlike Double.compare it takes −0 for 0. */
  static int compare(double one, double two) {
    if (one < two) {
      return -1;
    }
    if (one > two) {
      return 1;
    }
    return one == two ? 0 : Boolean.compare(Double.isNaN(one), Double.isNaN(two));
  }
}
