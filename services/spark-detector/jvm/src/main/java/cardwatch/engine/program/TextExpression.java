package cardwatch.engine.program;

/** A text. */
@FunctionalInterface
interface TextExpression extends Expression {
  /** The value; null if there is none. */
  String value(Evaluation at);

  @Override
  default ValueType type() {
    return ValueType.TEXT;
  }
}
