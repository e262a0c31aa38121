package cardwatch.engine.program;

import cardwatch.engine.event.Field;
import com.fasterxml.jackson.databind.JsonNode;

/** Entries of instructions and rules; what is not as docs/rule-program.md says is an unknown instruction. */
final class Json {
  private static final int SHOWN_CHARACTERS = 200;

  private Json() {}

  static String text(JsonNode json, String name) {
    JsonNode value = json.get(name);
    if (value == null || !value.isTextual()) {
      throw expected(json, "a text", name);
    }
    return value.textValue();
  }

  /** A whole number that is not negative. */
  static int whole(JsonNode json, String name) {
    long value = whole64(json, name);
    if (value > Integer.MAX_VALUE) {
      throw expected(json, "a small whole number", name);
    }
    return (int) value;
  }

  /** A whole number of 64 bits that is not negative. */
  static long whole64(JsonNode json, String name) {
    JsonNode value = json.get(name);
    if (value == null || !value.isIntegralNumber() || !value.canConvertToLong() || value.longValue() < 0) {
      throw expected(json, "a whole number", name);
    }
    return value.longValue();
  }

  static boolean truth(JsonNode json, String name) {
    JsonNode value = json.get(name);
    if (value == null || !value.isBoolean()) {
      throw expected(json, "true or false", name);
    }
    return value.booleanValue();
  }

  static JsonNode array(JsonNode json, String name) {
    JsonNode value = json.get(name);
    if (value == null || !value.isArray()) {
      throw expected(json, "a list", name);
    }
    return value;
  }

  /** Whether an entry is null or missing. */
  static boolean isNull(JsonNode json, String name) {
    JsonNode value = json.get(name);
    return value == null || value.isNull();
  }

  /** The arguments of an instruction: so many, or any number of at least one if −1. */
  static JsonNode parts(JsonNode json, int number) {
    JsonNode parts = array(json, "args");
    if (number < 0 ? parts.isEmpty() : parts.size() != number) {
      throw new UnknownInstructionException(
          "expected " + (number < 0 ? "some" : number) + " arguments, got " + parts.size() + " in " + shown(json));
    }
    return parts;
  }

  static Field field(JsonNode json, String name) {
    try {
      return Field.of(text(json, name));
    } catch (IllegalArgumentException error) {
      throw new UnknownInstructionException(error.getMessage());
    }
  }

  /** Check that what has a type of its own is stated with that one. */
  static void requireType(JsonNode json, ValueType type) {
    if (ValueType.ofWord(text(json, "type")) != type) {
      throw wrong(json, text(json, "type"), type);
    }
  }

  static <T extends Expression> T as(Class<T> wanted, Expression expression, JsonNode json) {
    if (!wanted.isInstance(expression)) {
      String word = wanted.getSimpleName().replace("Expression", "").toLowerCase(java.util.Locale.ROOT);
      throw wrong(json, word, expression.type());
    }
    return wanted.cast(expression);
  }

  static UnknownInstructionException wrong(JsonNode json, String expected, ValueType found) {
    return new UnknownInstructionException("expected " + expected + ", got " + found.word() + " in " + shown(json));
  }

  private static UnknownInstructionException expected(JsonNode json, String what, String name) {
    return new UnknownInstructionException("expected " + what + " at `" + name + "` in " + shown(json));
  }

  private static String shown(JsonNode json) {
    String text = json.toString();
    return text.length() <= SHOWN_CHARACTERS ? text : text.substring(0, SHOWN_CHARACTERS) + "…";
  }
}
