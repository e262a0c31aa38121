package cardwatch.engine.program;

/** A 64-bit integer. */
@FunctionalInterface
interface IntegerExpression extends Expression {
  /** The value; sets {@link Evaluation#none}. */
  long value(Evaluation at);

  @Override
  default ValueType type() {
    return ValueType.INTEGER;
  }
}
