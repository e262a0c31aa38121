package cardwatch.engine.program;

/**
 * A list of a profile.
 *
 * @param field which one
 */
record ListExpression(ProfileField field) implements Expression {
  @Override
  public ValueType type() {
    return field.type();
  }
}
