package cardwatch.engine.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.program.Profile;
import cardwatch.engine.program.ProfileField;
import cardwatch.engine.program.Program;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import scala.Tuple2;

class VelocityProcessorTest {
  private static final long SECOND = 1_000_000;
  private static final long DAY = 86_400 * SECOND;
  private static final long START = 20_000 * DAY;
  private static final long HORIZON = 3600 * SECOND;
  private static final int TOPIC = ResultRows.TYPE.fieldIndex(ResultRows.TOPIC);
  private static final int KEY = ResultRows.TYPE.fieldIndex("key");
  private static final int VALUE = ResultRows.TYPE.fieldIndex("value");
  private static final int HEADERS = ResultRows.TYPE.fieldIndex("headers");
  private static final int STATUS = ResultRows.TYPE.fieldIndex(ResultRows.STATUS);
  private static final int SPAN = ResultRows.TYPE.fieldIndex(ResultRows.SPAN);
  private static final int LATE_BY = ResultRows.TYPE.fieldIndex(ResultRows.LATE_BY);
  private static final int REPORT = ResultRows.TYPE.fieldIndex(ResultRows.REPORT);
  private static final String SCHEMA = """
      {"type": "record", "name": "Alert", "fields": [%s,
        {"name": "measures", "type": {"type": "array", "items": {"type": "record", "name": "Measure", "fields": [
          {"name": "name", "type": "string"}, {"name": "expression", "type": "string"},
          {"name": "window_us", "type": "long"}, {"name": "value", "type": ["null", "long", "double"]},
          {"name": "text", "type": ["null", "string"]}]}}},
        {"name": "evidence_transaction_ids", "type": {"type": "array", "items": "string"}},
        {"name": "suppressed_by", "type": ["null", "string"]}]}""";
  private static final String RULES = """
      {"version": 1, "rules": [{"id": "two", "version": 1, "title": "Two", "severity": "high", "mode": "live",
        "scope": "card", "suppress_us": 0, "lists": [], "uses_profile": false,
        "measures": [{"name": "n", "expression": "count(*)", "window_us": 60000000, "aggregate": "count",
          "field": null, "where": null, "type": "integer"}],
        "when": {"op": "ge", "of": "integer", "args": [{"op": "measure", "index": 0, "type": "integer"},
          {"op": "literal", "type": "integer", "value": 2}]}}]}""";
  private static final Program PROGRAM = Program.parse(RULES, "{}");

  private static final byte[] MESSAGE = {0, 0, 0, 0, 7, 1};
  private static final String TRACE = "4bf92f3577b34da6a3ce929d0e0e473";

  private final MemoryOperator operator = operator(1.0);
  private final MemoryHandle handle = operator.handle;

  @Test
  void theRulesAreThoseOfThisTest() {
    assertEquals(List.of(), PROGRAM.setAside());
  }

  @Test
  void anAlertIsRaisedOverTasks() {
    assertEquals(List.of(), statuses(task("a", at(0))));
    assertEquals(List.of("raised"), statuses(task("a", at(1))));
  }

  @Test
  void whatIsOlderThanTheWatermarkIsReturnedAndNotStored() {
    operator.watermark = START + 10 * SECOND;
    List<Row> rows = task("a", at(9), at(10));
    assertEquals(1, rows.size());
    Row late = rows.get(0);
    assertEquals(List.of("late", "message-key"), List.of(late.getString(TOPIC), late.getString(KEY)));
    assertArrayEquals(MESSAGE, (byte[]) late.get(VALUE));
    assertEquals(SECOND, late.getLong(LATE_BY));
    assertEquals(Map.of("detector", "here", "query", "velocity", "scopes", "card,merchant", "watermark_us",
                     Long.toString(operator.watermark), "silver_partition", "0", "silver_offset", "9"),
        headers(late));
    assertEquals(List.of(), task("z", withoutOriginal(at(9))), "another of its keys has returned it");
    assertEquals(List.of("raised"), statuses(task("a", at(11))), "of two, not of three");
    assertEquals(List.of(), task("b", at(1)).stream().filter(row -> row.isNullAt(LATE_BY)).toList());
    assertEquals(Set.of("(a,card)"), handle.keys(), "a late transaction alone begins no state");
  }

  @Test
  void anAlertContinuesTheTraceOfWhatRaisedIt() {
    task("a", at(0));
    Row own = alerts(task("a", traced(at(1), TRACE + 1), traced(at(2), TRACE + 2))).get(0);
    String parent = headers(own).get("traceparent");
    assertTrue(parent.matches("00-" + TRACE + "1-[abef][0-9a-f]{15}-01"), parent);
    assertEquals("vendor=1", headers(own).get("tracestate"));
    String span = own.getString(SPAN);
    assertTrue(span.contains("\"parent\":\"00-" + TRACE + "1-00000000000000b7-01\""), span);
    assertTrue(span.contains("\"span_id\":\"" + parent.split("-")[2] + "\",\"partition\":0,\"offset\":1"), span);
    Row untraced = alerts(task("a", at(3))).get(0);
    assertTrue(untraced.isNullAt(HEADERS) && untraced.isNullAt(SPAN));
  }

  @Test
  void aLateTransactionIsTheCauseOfTheAlertOfAnother() {
    task("a", at(100));
    List<Row> rows = task("a", traced(at(50), TRACE + 1));
    assertEquals(List.of("raised"), statuses(rows), "of the one that came before");
    assertTrue(headers(alerts(rows).get(0)).get("traceparent").startsWith("00-" + TRACE + "1-"));
  }

  @Test
  void whatTheTracerDoesNotRecordHasNoSpan() {
    Row row = alerts(operator(0.0).run("card", "a", List.of(at(0), traced(at(1), TRACE + 1)))).get(0);
    assertTrue(headers(row).get("traceparent").endsWith("-00"));
    assertTrue(row.isNullAt(SPAN));
  }

  @Test
  void aKeyThatNeverComesBackIsEvictedByItsOneTimer() {
    task("a", at(0));
    task("a", at(500));
    assertEquals(1, handle.timers.get(key("a")).size());
    assertEquals(0, advance(START + HORIZON), "it is needed by an arrival at the watermark");
    assertEquals(1, advance(START + HORIZON + SECOND));
    assertEquals(Set.of("(a,card)"), handle.keys(), "its second transaction is needed still");
    assertEquals(1, handle.timers.get(key("a")).size());
    assertEquals(1, advance(START + 500 * SECOND + HORIZON + SECOND));
    assertEquals(Set.of(), handle.keys());
  }

  @Test
  void aKeyThatATouchEmptiesLosesItsTimer() {
    task("a", at(0));
    operator.watermark = START + 2 * HORIZON;
    task("a", at(1));
    assertEquals(Set.of(), handle.keys(), "the old one was evicted, the new one was late");
    task("a", at(2 * 3600 + 1));
    assertEquals(1, handle.timers.get(key("a")).size());
  }

  @Test
  void aProfileKeepsAKeyUntilItsDayIsOver() {
    Profile profile = new Profile.Builder().integer(ProfileField.TRANSACTIONS_90D, 3).build();
    run("a", List.of(Arrival.of(START, new Arrival.Place(0, 0), profile)));
    assertEquals(Set.of("(a,card)"), handle.keys());
    assertEquals(0, advance(START + DAY));
    advance(START + DAY + HORIZON + SECOND);
    assertEquals(Set.of(), handle.keys());
    run("a", List.of(Arrival.of(START - DAY, new Arrival.Place(0, 0), profile)));
    assertEquals(Set.of(), handle.keys(), "one for a day that is over begins no state");
  }

  @Test
  void manyTransactionsAreEvictedToo() {
    Arrival[] many = new Arrival[1000];
    for (int number = 0; number < many.length; number++) {
      many[number] = at(number);
    }
    task("a", many);
    assertTrue(handle.blocks.get(key("a")).size() > 10, "it is paged");
    while (!handle.keys().isEmpty()) {
      assertTrue(operator.watermark < START + 2 * HORIZON);
      advance(operator.watermark == 0 ? START + HORIZON + SECOND : operator.watermark + 300 * SECOND);
    }
  }

  @Test
  void whatRulesTookIsReportedByTheNextTask() {
    Arrival[] many = new Arrival[20_000];
    for (int number = 0; number < many.length; number++) {
      many[number] = at(number / 100.0 + number * 1e-6);
    }
    assertEquals(List.of(), task("a", many).stream().filter(row -> !row.isNullAt(REPORT)).toList());
    List<Row> reports = task("b", at(0)).stream().filter(row -> !row.isNullAt(REPORT)).toList();
    assertEquals(1, reports.size());
    assertTrue(
        reports.get(0).getString(REPORT).matches(".*\"two\":\\d.*\"rows\":20000.*"), reports.get(0).getString(REPORT));
    assertEquals(List.of(), task("b", at(1)).stream().filter(row -> !row.isNullAt(REPORT)).toList());
  }

  /** A transaction so many seconds after the start; the offset of its message is that number. */
  private static Arrival at(double seconds) {
    long time = START + Math.round(seconds * SECOND);
    Event event = new Event.Builder()
                      .times(time, time)
                      .text(Field.TRANSACTION_ID, "t" + seconds)
                      .text(Field.CARD_TOKEN, "a")
                      .text(Field.CARD_BIN, "400000")
                      .text(Field.CARD_LAST_FOUR, "0000")
                      .text(Field.MERCHANT_ID, "m")
                      .text(Field.COUNTRY, "DE")
                      .text(Field.CURRENCY, "EUR")
                      .integer(Field.AMOUNT_MINOR, 1)
                      .integer(Field.BASE_AMOUNT_MINOR, 1)
                      .build();
    return new Arrival(time, new Arrival.Place(0, (long) seconds), event, null,
        new Original("message-key", MESSAGE, "card,merchant"), null);
  }

  private static Arrival withoutOriginal(Arrival arrival) {
    return new Arrival(arrival.time(), arrival.place(), arrival.event(), null, null, null);
  }

  private static Arrival traced(Arrival arrival, String traceId) {
    TraceContext trace = new TraceContext(traceId, "00000000000000b7", "vendor=1");
    return new Arrival(arrival.time(), arrival.place(), arrival.event(), null, arrival.original(), trace);
  }

  private static Map<String, String> headers(Row row) {
    Map<String, String> headers = new HashMap<>();
    for (Object header : (Object[]) row.get(HEADERS)) {
      Row one = (Row) header;
      headers.put(one.getString(0), new String((byte[]) one.get(1), StandardCharsets.UTF_8));
    }
    return headers;
  }

  private List<Row> task(String card, Arrival... arrivals) {
    return run(card, List.of(arrivals));
  }

  private List<Row> run(String card, List<Arrival> arrivals) {
    return operator.run("card", card, arrivals);
  }

  /** Move the operator.watermark and let timers expire; returns how many did. */
  private int advance(long to) {
    operator.watermark = to;
    return operator.expire();
  }

  private static MemoryOperator operator(double traceShare) {
    Options options = new Options(List.of(new Options.Scope("card", Field.CARD_TOKEN, HORIZON)), "card",
        new Options.Alerts("alerts", schema(), 1, 5), new Options.Late("late", "here", "velocity"), traceShare);
    return new MemoryOperator(options, PROGRAM);
  }

  private static Tuple2<String, String> key(String card) {
    return new Tuple2<>(card, "card");
  }

  /** Without reports, which tell of what took the task before long. */
  private static List<Row> alerts(List<Row> rows) {
    return rows.stream().filter(row -> !row.isNullAt(STATUS)).toList();
  }

  private static List<String> statuses(List<Row> rows) {
    return alerts(rows).stream().map(row -> row.getString(STATUS)).toList();
  }

  private static String schema() {
    List<String> fields = new ArrayList<>();
    for (String name : List.of("transaction_id", "card_token", "card_bin", "card_last_four", "merchant_id", "country",
             "currency", "alert_id", "status", "rule_id", "rule_title", "severity", "mode", "scope", "key")) {
      fields.add("{\"name\": \"" + name + "\", \"type\": \"string\"}");
    }
    for (String name : List.of("amount_minor", "base_amount_minor", "event_time", "window_start", "evidence_count",
             "raw_broker_time", "detected_at")) {
      fields.add("{\"name\": \"" + name + "\", \"type\": \"long\"}");
    }
    fields.add("{\"name\": \"rule_version\", \"type\": \"int\"}");
    return SCHEMA.formatted(String.join(", ", fields));
  }
}
