package cardwatch.engine.program;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.MemoryStore;
import cardwatch.engine.timeline.Timeline;
import cardwatch.engine.timeline.Timelines;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * Evaluates programs for tests in Python, tests/support/engine_console.py: one request per line of standard input, one
 * answer per line of standard output.
 */
public final class ProgramConsole {
  // As Python's json writes it, and reads it.
  private static final ObjectMapper JSON = JsonMapper.builder()
                                               .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
                                               .disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS)
                                               .build();

  private ProgramConsole() {}

  public static void main(String[] arguments) throws IOException {
    serve(request -> request.has("expressions") ? expressions(request) : rules(request));
  }

  /** Answer requests until standard input ends; of what is thrown, the answer has the text as its error. */
  public static void serve(Function<JsonNode, ObjectNode> answering) throws IOException {
    BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String line = requests.readLine(); line != null; line = requests.readLine()) {
      answers.println(JSON.writeValueAsString(answer(answering, JSON.readTree(line))));
      answers.flush();
    }
  }

  private static ObjectNode answer(Function<JsonNode, ObjectNode> answering, JsonNode request) {
    try {
      return answering.apply(request);
    } catch (RuntimeException error) {
      return JSON.createObjectNode().put("error", error.toString());
    }
  }

  /** The values of each expression on each row. */
  private static ObjectNode expressions(JsonNode request) {
    Map<String, Set<String>> lists = new HashMap<>();
    request.get("lists").properties().forEach(list -> {
      Set<String> values = new HashSet<>();
      list.getValue().forEach(value -> values.add(value.asText()));
      lists.put(list.getKey(), values);
    });
    List<Measure> measures = new ArrayList<>();
    List<ValueType> types = new ArrayList<>();
    for (JsonNode type : request.get("measure_types")) {
      types.add(ValueType.ofWord(type.asText()));
      measures.add(measure(types.get(types.size() - 1), measures.size()));
    }
    ArrayNode values = JSON.createArrayNode();
    List<Evaluation> rows = new ArrayList<>();
    for (JsonNode row : request.get("rows")) {
      rows.add(new Evaluation(
          event(row.get("fields")), new StatedMeasures(row.get("measures"), types), profile(row.get("profile"))));
    }
    for (JsonNode json : request.get("expressions")) {
      Expression expression = ExpressionParser.ofRule(lists, measures).parse(json);
      ArrayNode column = values.addArray();
      rows.forEach(row -> addValue(column, expression, row));
    }
    return JSON.createObjectNode().set("values", values);
  }

  private static void addValue(ArrayNode column, Expression expression, Evaluation at) {
    switch (expression.type()) {
      case INTEGER -> {
        long value = ((IntegerExpression) expression).value(at);
        column.add(at.none ? null : (Long) value);
      }
      case DOUBLE -> {
        double value = ((DoubleExpression) expression).value(at);
        column.add(at.none ? null : (Double) value);
      }
      case TEXT -> column.add(((TextExpression) expression).value(at));
      default -> {
        int value = ((BooleanExpression) expression).value(at);
        column.add(value == BooleanExpression.UNKNOWN ? null : (Boolean) (value == BooleanExpression.TRUE));
      }
    }
  }

  /**
   * The hits of each rule on a key's events, with the values of its measures, over a timeline that was saved and read.
   */
  private static ObjectNode rules(JsonNode request) {
    Program program = Program.parse(request.get("program").toString(), request.get("lists").toString());
    ObjectNode answer = JSON.createObjectNode();
    ObjectNode setAside = answer.putObject("set_aside");
    program.setAside().forEach(one -> setAside.put(one.ruleId(), one.reason()));
    ObjectNode hits = answer.putObject("hits");
    for (ScopeProgram scope : program.scopes().values()) {
      MemoryStore store = new MemoryStore();
      Timeline written = Timelines.open(store, scope.tracks());
      request.get("events").forEach(event -> written.insert(event(event)));
      written.save();
      Timeline timeline = Timelines.open(store, scope.tracks());
      MeasureEvaluator evaluator = new MeasureEvaluator(scope, timeline);
      for (int ordinal = timeline.size() - 1; ordinal >= 0; ordinal--) {
        evaluator.moveTo(ordinal);
        for (Rule rule : scope.rules()) {
          ArrayNode found = hits.withArray(rule.id());
          if (evaluator.holds(rule, Profile.NONE)) {
            found.addArray().add(ordinal).addAll(values(evaluator.values(rule)));
          }
        }
      }
    }
    return answer;
  }

  private static ArrayNode values(List<Object> values) {
    ArrayNode array = JSON.createArrayNode();
    values.forEach(value -> array.add(JSON.<JsonNode>valueToTree(value)));
    return array;
  }

  private static Measure measure(ValueType type, int slot) {
    Aggregate aggregate = switch (type) {
      case INTEGER -> Aggregate.COUNT;
      case DOUBLE -> Aggregate.MEAN;
      default -> Aggregate.FIRST;
    };
    Field field = type == ValueType.TEXT ? Field.COUNTRY : Field.AMOUNT_MINOR;
    return new Measure("m" + slot, "", slot, new Measure.Computation(aggregate, 1, field, 0, -1));
  }

  /** The transaction of a JSON object; fields that it has not are null, and times 0. */
  public static Event event(JsonNode fields) {
    Event.Builder builder =
        new Event.Builder().times(fields.path("event_time").asLong(), fields.path("raw_broker_time").asLong());
    for (int at = 0; at < Field.count(); at++) {
      Field field = Field.at(at);
      JsonNode value = fields.path(field.avroName());
      if (value.isMissingNode() || value.isNull()) {
        continue;
      }
      switch (field.kind()) {
        case TEXT -> builder.text(field, value.textValue());
        case INTEGER -> builder.integer(field, value.longValue());
        case DOUBLE -> builder.number(field, value.doubleValue());
      }
    }
    return builder.build();
  }

  /** The profile of a JSON object without nulls. */
  public static Profile profile(JsonNode json) {
    Profile.Builder builder = new Profile.Builder();
    json.properties().forEach(entry -> {
      ProfileField field = ProfileField.of(entry.getKey());
      JsonNode value = entry.getValue();
      switch (field.type()) {
        case INTEGER -> builder.integer(field, value.longValue());
        case DOUBLE -> builder.number(field, value.doubleValue());
        case TEXTS -> {
          List<String> texts = new ArrayList<>();
          value.forEach(one -> texts.add(one.textValue()));
          builder.texts(field, texts);
        }
        default -> {
          List<Long> integers = new ArrayList<>();
          value.forEach(one -> integers.add(one.longValue()));
          builder.integers(field, integers);
        }
      }
    });
    return builder.build();
  }

  /**
   * Measures whose values are stated.
   *
   * @param values by slot
   * @param types by slot
   */
  private record StatedMeasures(JsonNode values, List<ValueType> types) implements MeasureValues {
    @Override
    public boolean isNull(int slot) {
      return values.get(slot).isNull();
    }

    @Override
    public long integer(int slot) {
      return values.get(slot).longValue();
    }

    @Override
    public double number(int slot) {
      return values.get(slot).doubleValue();
    }

    @Override
    public String text(int slot) {
      return values.get(slot).textValue();
    }
  }
}
