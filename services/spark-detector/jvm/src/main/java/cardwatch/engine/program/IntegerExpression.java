package cardwatch.engine.program;

/** A 64-bit integer. */
@FunctionalInterface
non-sealed interface IntegerExpression extends Expression {
  /** The value; sets {@link Evaluation#none}. */
  long value(Evaluation at);

  @Override
  default ValueType type() {
    return ValueType.INTEGER;
  }
}
