package cardwatch.engine.program;

import cardwatch.engine.event.Field;

/** The types of expressions. Only a profile has lists: they can be looked into, and be null. */
public enum ValueType {
  INTEGER,
  DOUBLE,
  TEXT,
  BOOLEAN,
  TEXTS,
  INTEGERS;

  private final String word = name().toLowerCase(java.util.Locale.ROOT);

  /** How a program writes it. */
  String word() {
    return word;
  }

  /** The type that a field has in expressions. */
  public static ValueType of(Field field) {
    return switch (field.kind()) {
      case TEXT -> TEXT;
      case INTEGER -> INTEGER;
      case DOUBLE -> DOUBLE;
    };
  }

  /**
   * The type that a program writes so.
   *
   * @throws UnknownInstructionException there is none
   */
  static ValueType ofWord(String word) {
    for (ValueType type : values()) {
      if (type.word.equals(word)) {
        return type;
      }
    }
    throw new UnknownInstructionException("there is no type `" + word + "`");
  }
}
