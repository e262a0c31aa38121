package cardwatch.engine.program;

import java.util.function.DoubleUnaryOperator;
import java.util.function.LongUnaryOperator;

/** Calculations. Integers wrap at 64 bits; a part that is null makes the result null. */
final class Arithmetic {
  private Arithmetic() {}

  /** Of two integers. */
  @FunctionalInterface
  interface OfIntegers {
    long apply(long left, long right);
  }

  /** Of two doubles. */
  @FunctionalInterface
  interface OfDoubles {
    double apply(double left, double right);
  }

  static IntegerExpression integers(IntegerExpression left, IntegerExpression right, OfIntegers calculate) {
    return at -> {
      long one = left.value(at);
      boolean none = at.none;
      long two = right.value(at);
      at.none |= none;
      return at.none ? 0 : calculate.apply(one, two);
    };
  }

  static DoubleExpression doubles(DoubleExpression left, DoubleExpression right, OfDoubles calculate) {
    return at -> {
      double one = left.value(at);
      boolean none = at.none;
      double two = right.value(at);
      at.none |= none;
      return at.none ? 0 : calculate.apply(one, two);
    };
  }

  /** Null where the divisor is 0. */
  static DoubleExpression divide(DoubleExpression left, DoubleExpression right) {
    return at -> {
      double one = left.value(at);
      boolean none = at.none;
      double two = right.value(at);
      at.none |= none || two == 0;
      return one / two;
    };
  }

  /** The remainder, with the sign of the dividend; null where the divisor is 0. */
  static IntegerExpression remainder(IntegerExpression left, IntegerExpression right) {
    return at -> {
      long one = left.value(at);
      boolean none = at.none;
      long two = right.value(at);
      at.none |= none || two == 0;
      return at.none ? 0 : one % two;
    };
  }

  static IntegerExpression integer(IntegerExpression part, LongUnaryOperator calculate) {
    return at -> calculate.applyAsLong(part.value(at));
  }

  static DoubleExpression number(DoubleExpression part, DoubleUnaryOperator calculate) {
    return at -> calculate.applyAsDouble(part.value(at));
  }

  static DoubleExpression toDouble(IntegerExpression part) {
    return at -> part.value(at);
  }
}
