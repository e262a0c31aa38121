package cardwatch.engine.program;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.HashSet;
import java.util.Set;

/** Literals of programs. JSON has no infinity: it is written as text. */
final class Literals {
  private Literals() {}

  static Expression parse(JsonNode json) {
    JsonNode value = json.get("value");
    boolean none = Json.isNull(json, "value");
    return switch (ValueType.ofWord(Json.text(json, "type"))) {
      case INTEGER -> {
        long number = none ? 0 : integer(value);
        yield(IntegerExpression) at -> {
          at.none = none;
          return number;
        };
      }
      case DOUBLE -> {
        double number = none ? 0 : number(value);
        yield(DoubleExpression) at -> {
          at.none = none;
          return number;
        };
      }
      case TEXT -> {
        String text = none ? null : text(value);
        yield(TextExpression) at -> text;
      }
      case BOOLEAN -> {
        int truth = none ? BooleanExpression.UNKNOWN : BooleanExpression.truth(truth(value));
        yield(BooleanExpression) at -> truth;
      }
      default -> throw new UnknownInstructionException("a literal cannot be a list");
    };
  }

  static long[] integers(JsonNode values) {
    long[] result = new long[values.size()];
    for (int at = 0; at < result.length; at++) {
      result[at] = integer(values.get(at));
    }
    return result;
  }

  static double[] doubles(JsonNode values) {
    double[] result = new double[values.size()];
    for (int at = 0; at < result.length; at++) {
      result[at] = number(values.get(at));
    }
    return result;
  }

  static Set<String> texts(JsonNode values) {
    Set<String> result = new HashSet<>();
    for (JsonNode value : values) {
      result.add(text(value));
    }
    return result;
  }

  static boolean[] booleans(JsonNode values) {
    boolean[] result = new boolean[values.size()];
    for (int at = 0; at < result.length; at++) {
      result[at] = truth(values.get(at));
    }
    return result;
  }

  private static long integer(JsonNode value) {
    if (!value.isIntegralNumber() || !value.canConvertToLong()) {
      throw new UnknownInstructionException("expected an integer of 64 bits, got " + value);
    }
    return value.longValue();
  }

  private static double number(JsonNode value) {
    if (value.isNumber()) {
      return value.doubleValue();
    }
    return switch (value.asText()) {
      case "Infinity" -> Double.POSITIVE_INFINITY;
      case "-Infinity" -> Double.NEGATIVE_INFINITY;
      default -> throw new UnknownInstructionException("expected a double, got " + value);
    };
  }

  private static String text(JsonNode value) {
    if (!value.isTextual()) {
      throw new UnknownInstructionException("expected a text, got " + value);
    }
    return value.textValue();
  }

  private static boolean truth(JsonNode value) {
    if (!value.isBoolean()) {
      throw new UnknownInstructionException("expected true or false, got " + value);
    }
    return value.booleanValue();
  }
}
