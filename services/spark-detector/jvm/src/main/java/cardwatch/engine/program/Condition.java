package cardwatch.engine.program;

import cardwatch.engine.event.Row;

/** A compiled condition. Threads may share it. */
public final class Condition {
  private final BooleanExpression expression;

  Condition(BooleanExpression expression) {
    this.expression = expression;
  }

  /**
   * Whether it is true; null is not.
   *
   * @param measures asked for the measures that the condition needs, and only if it needs them; null if it names none
   * @param profile {@link Profile#NONE} for a card without one
   */
  public boolean holds(Row row, MeasureValues measures, Profile profile) {
    return holds(new Evaluation(row, measures, profile));
  }

  boolean holds(Evaluation at) {
    return expression.value(at) == BooleanExpression.TRUE;
  }
}
