package cardwatch.engine.event;

/** What conditions are evaluated on: the fields of one transaction. */
public interface Row {
  /** Whether a field has no value. */
  boolean isNull(Field field);

  /** The value of an INTEGER field that is not null. */
  long integer(Field field);

  /** The value of a DOUBLE field that is not null. */
  double number(Field field);

  /** The value of a TEXT field, null if there is none. */
  String text(Field field);
}
