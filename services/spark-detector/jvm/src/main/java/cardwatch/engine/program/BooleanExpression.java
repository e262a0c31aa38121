package cardwatch.engine.program;

/**
 * Something that is true, false or unknown (null): Kleene's logic, in which `and` is the smaller and `or` the larger.
 */
@FunctionalInterface
interface BooleanExpression extends Expression {
  int FALSE = 0;
  int UNKNOWN = 1;
  int TRUE = 2;

  /** FALSE, UNKNOWN or TRUE. */
  int value(Evaluation at);

  @Override
  default ValueType type() {
    return ValueType.BOOLEAN;
  }

  /** TRUE or FALSE. */
  static int truth(boolean value) {
    return value ? TRUE : FALSE;
  }
}
