package cardwatch.engine.program;

/** A double. */
@FunctionalInterface
non-sealed interface DoubleExpression extends Expression {
  /** The value; sets {@link Evaluation#none}. */
  double value(Evaluation at);

  @Override
  default ValueType type() {
    return ValueType.DOUBLE;
  }
}
