package cardwatch.engine.program;

/** The values of a scope's measures for one event, by {@link Measure#slot}. */
public interface MeasureValues {
  /** Whether a measure has no value. */
  boolean isNull(int slot);

  /** The value of an INTEGER measure that is not null. */
  long integer(int slot);

  /** The value of a DOUBLE measure that is not null. */
  double number(int slot);

  /** The value of a TEXT measure, null if it has none. */
  String text(int slot);
}
