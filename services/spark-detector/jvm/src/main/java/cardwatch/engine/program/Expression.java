package cardwatch.engine.program;

/** A compiled part of a condition. Threads may share it; what changes is in the Evaluation. */
interface Expression {
  /** The type of its values. */
  ValueType type();
}
