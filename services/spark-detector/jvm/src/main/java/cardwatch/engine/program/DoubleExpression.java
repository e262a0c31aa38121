package cardwatch.engine.program;

/** A double. */
@FunctionalInterface
interface DoubleExpression extends Expression {
  /** The value; sets {@link Evaluation#none}. */
  double value(Evaluation at);

  @Override
  default ValueType type() {
    return ValueType.DOUBLE;
  }
}
