package cardwatch.engine.program;

import java.util.List;

/**
 * Expressions of one type.
 *
 * @param type their type
 * @param parts the expressions
 */
record Parts(ValueType type, List<Expression> parts) {
  IntegerExpression[] integers() {
    return parts.toArray(IntegerExpression[] ::new);
  }

  DoubleExpression[] doubles() {
    return parts.toArray(DoubleExpression[] ::new);
  }

  TextExpression[] texts() {
    return parts.toArray(TextExpression[] ::new);
  }

  BooleanExpression[] booleans() {
    return parts.toArray(BooleanExpression[] ::new);
  }
}
