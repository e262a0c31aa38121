package cardwatch.engine.program;

/** A compiled part of a condition. Threads may share it; what changes is in the Evaluation. */
sealed interface Expression
    permits BooleanExpression, IntegerExpression, DoubleExpression, TextExpression, ListExpression {
  /** The type of its values. */
  ValueType type();
}
