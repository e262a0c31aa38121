package cardwatch.engine.spark;

import cardwatch.engine.event.Event;
import cardwatch.engine.program.Program;
import cardwatch.engine.program.ProgramConsole;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.spark.sql.Row;
import scala.Tuple2;

/**
 * Runs the operator for tests in Python, tests/support/operator_console.py: histories of micro-batches, each history
 * with a state of its own, over state in memory.
 */
final class OperatorConsole {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int HEADER_BYTES = 5;
  private static final int VALUE = ResultRows.TYPE.fieldIndex("value");
  private static final int KEY = ResultRows.TYPE.fieldIndex("key");
  private static final int LATE_BY = ResultRows.TYPE.fieldIndex(ResultRows.LATE_BY);
  private static final int REPORT = ResultRows.TYPE.fieldIndex(ResultRows.REPORT);
  private static final String[] SHOWN = {"rule_id", "rule_version", "mode", "status", "key", "transaction_id",
      "event_time", "amount_minor", "alert_id", "suppressed_by", "window_start", "evidence_count", "raw_broker_time"};

  private final Options options;
  private final List<Program> programs = new ArrayList<>();
  private final GenericDatumReader<GenericRecord> reader;

  private OperatorConsole(JsonNode request) {
    options = Options.parse(request.get("options").textValue());
    reader = new GenericDatumReader<>(new Schema.Parser().parse(options.alerts().schema()));
    for (JsonNode rules : request.get("rule_sets")) {
      programs.add(Program.parse(rules.get("program").textValue(), rules.get("lists").textValue()));
    }
  }

  public static void main(String[] arguments) throws IOException {
    ProgramConsole.serve(OperatorConsole::answer);
  }

  private static ObjectNode answer(JsonNode request) {
    OperatorConsole console = new OperatorConsole(request);
    ObjectNode answer = JSON.createObjectNode();
    ArrayNode setAside = answer.putArray("set_aside");
    console.programs.forEach(program -> program.setAside().forEach(one -> setAside.add(one.ruleId() + one.reason())));
    ArrayNode histories = answer.putArray("histories");
    request.get("histories").forEach(history -> console.run(history, histories.addArray()));
    return answer;
  }

  /** Of each micro-batch its rows, and the keys that have state in the end. */
  private void run(JsonNode batches, ArrayNode results) {
    MemoryOperator operator = new MemoryOperator(options, programs.get(0));
    for (JsonNode batch : batches) {
      operator.use(programs.get(batch.get("rules").intValue()));
      operator.watermark = batch.get("watermark").longValue();
      operator.now = batch.get("now").longValue();
      Map<Tuple2<String, String>, List<Arrival>> byKey = arrivals(batch);
      if (batch.get("repeated").booleanValue()) {
        MemoryHandle.Snapshot before = operator.handle.snapshot();
        run(operator, byKey);
        operator.handle.restore(before);
      }
      List<Row> rows = run(operator, byKey);
      ObjectNode result = results.addObject();
      write(rows, result.putArray("alerts"), result.putArray("late"));
    }
    ArrayNode keys = results.addArray();
    operator.handle.keys().forEach(keys::add);
  }

  private static List<Row> run(MemoryOperator operator, Map<Tuple2<String, String>, List<Arrival>> byKey) {
    List<Row> rows = new ArrayList<>();
    byKey.forEach((key, arrivals) -> rows.addAll(operator.run(key._1(), key._2(), arrivals)));
    operator.expire();
    return rows;
  }

  private Map<Tuple2<String, String>, List<Arrival>> arrivals(JsonNode batch) {
    Map<Tuple2<String, String>, List<Arrival>> byKey = new LinkedHashMap<>();
    for (JsonNode fields : batch.get("transactions")) {
      Event event = ProgramConsole.event(fields);
      long offset = fields.get("offset").longValue();
      // On the way to the first of its keys.
      Original original = new Original(Long.toString(offset), new byte[0], "");
      for (Options.Scope scope : options.scopes()) {
        if (!event.isNull(scope.keyField())) {
          Arrival.Place place = new Arrival.Place(0, offset);
          Arrival arrival = new Arrival(event.eventTime(), place, event, null, original, null);
          add(byKey, scope.name(), event.text(scope.keyField()), arrival);
          original = null;
        }
      }
    }
    for (JsonNode profile : batch.get("profiles")) {
      add(byKey, options.profileScope(), profile.get("key").textValue(),
          Arrival.of(profile.get("valid_on").longValue(), new Arrival.Place(0, 0),
              ProgramConsole.profile(profile.get("profile"))));
    }
    return byKey;
  }

  private static void add(Map<Tuple2<String, String>, List<Arrival>> byKey, String scope, String key, Arrival arrival) {
    byKey.computeIfAbsent(new Tuple2<>(scope, key), one -> new ArrayList<>()).add(arrival);
  }

  private void write(List<Row> rows, ArrayNode alerts, ArrayNode late) {
    for (Row row : rows) {
      if (!row.isNullAt(LATE_BY)) {
        late.add(Long.parseLong(row.getString(KEY)));
      } else if (!row.isNullAt(VALUE)) {
        alert(decode(row.getAs(VALUE)), alerts.addObject());
      } else if (row.getString(REPORT).contains("failed\":{\"")) {
        throw new IllegalStateException(row.getString(REPORT));
      }
    }
  }

  private GenericRecord decode(byte[] value) {
    BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(value, HEADER_BYTES, value.length - HEADER_BYTES, null);
    try {
      return reader.read(null, decoder);
    } catch (IOException error) {
      throw new UncheckedIOException("an alert cannot be decoded", error);
    }
  }

  private static void alert(GenericRecord alert, ObjectNode shown) {
    for (String name : SHOWN) {
      shown.set(name, plain(alert.get(name)));
    }
    ArrayNode evidence = shown.putArray("evidence");
    ((List<?>) alert.get("evidence_transaction_ids")).forEach(id -> evidence.add(id.toString()));
    ObjectNode measures = shown.putObject("measures");
    for (Object one : (List<?>) alert.get("measures")) {
      GenericRecord measure = (GenericRecord) one;
      Object value = measure.get("value") == null ? measure.get("text") : measure.get("value");
      measures.set(measure.get("name").toString(), plain(value));
    }
  }

  private static JsonNode plain(Object value) {
    return JSON.valueToTree(value instanceof CharSequence ? value.toString() : value);
  }
}
