package cardwatch.engine.spark;

import cardwatch.engine.decision.Transition;
import cardwatch.engine.program.Rule;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * The rows that the operator returns: messages for Kafka (alerts and late transactions) and reports about rules, which
 * stay in the detector. For one thread.
 */
final class ResultRows {
  static final String TOPIC = "topic";
  static final String EVENT_TIME = "event_time";
  static final String RULE_ID = "rule_id";
  static final String STATUS = "status";
  static final String MODE = "mode";
  static final String RAW_BROKER_TIME = "raw_broker_time";
  static final String SPAN = "span";
  static final String LATE_SCOPES = "late_scopes";
  static final String LATE_BY = "late_by";
  static final String REPORT = "report";

  /**
   * The first columns are what Spark's Kafka sink takes; a report has none of them. The others say what is counted: of
   * an alert, of its span where its trace is recorded, and of a late transaction. Times are microseconds.
   */
  static final StructType TYPE =
      new StructType()
          .add(TOPIC, DataTypes.StringType)
          .add("key", DataTypes.StringType)
          .add("value", DataTypes.BinaryType)
          .add("headers",
              DataTypes.createArrayType(
                  new StructType().add("key", DataTypes.StringType).add("value", DataTypes.BinaryType)))
          .add(EVENT_TIME, DataTypes.LongType)
          .add(RULE_ID, DataTypes.StringType)
          .add(STATUS, DataTypes.StringType)
          .add(MODE, DataTypes.StringType)
          .add(RAW_BROKER_TIME, DataTypes.LongType)
          .add(SPAN, DataTypes.StringType)
          .add(LATE_SCOPES, DataTypes.StringType)
          .add(LATE_BY, DataTypes.LongType)
          .add(REPORT, DataTypes.StringType);

  private static final ObjectMapper JSON = new ObjectMapper();

  private final Options options;
  private final AlertCodec codec;

  ResultRows(Options options) {
    this.options = options;
    codec = new AlertCodec(options.alerts());
  }

  /**
   * The row of a change of an alert of a key.
   *
   * @param detectedAt microseconds
   * @param traced the arrivals of the touch whose traces are sampled
   */
  Row alert(Transition found, String key, long detectedAt, List<Arrival> traced) {
    Rule rule = found.rule();
    String status = found.status().name().toLowerCase(Locale.ROOT);
    byte[] value = codec.encode(found, key, status, detectedAt);
    List<Row> headers = null;
    String span = null;
    Arrival cause = cause(found, traced);
    if (cause != null) {
      TraceContext next = cause.trace().next();
      boolean recorded = next.isRecorded(options.traceShare());
      headers = headers(next, recorded);
      span = recorded ? span(found, status, detectedAt, cause, next) : null;
    }
    return RowFactory.create(options.alerts().topic(), key, value, headers == null ? null : headers.toArray(),
        found.event().eventTime(), rule.id(), status, rule.mode(), found.causeBrokerTime(), span, null, null, null);
  }

  /** The row of a transaction that came after a watermark (microseconds) had passed it. */
  Row late(Arrival arrival, long watermark) {
    Original original = arrival.original();
    Map<String, String> headers =
        new TreeMap<>(Map.of("detector", options.late().detector(), "query", options.late().query(), "scopes",
            original.scopes(), "watermark_us", Long.toString(watermark), "silver_partition",
            Integer.toString(arrival.place().partition()), "silver_offset", Long.toString(arrival.place().offset())));
    List<Row> rows = new ArrayList<>(headers.size());
    headers.forEach((name, text) -> rows.add(header(name, text)));
    return RowFactory.create(options.late().topic(), original.key(), original.value(), rows.toArray(), arrival.time(),
        null, null, null, null, null, original.scopes(), watermark - arrival.time(), null);
  }

  /** The row of a report, JSON. */
  static Row report(String json) {
    return RowFactory.create(null, null, null, null, null, null, null, null, null, null, null, null, json);
  }

  /**
   * The arrival that raised, suppressed or retracted an alert: that of its own transaction, or, where that came
   * earlier, the one that changed the result. Of several the first in the topic, so that a repeated micro-batch finds
   * the same.
   */
  private static Arrival cause(Transition found, List<Arrival> traced) {
    Arrival cause = null;
    boolean isOwn = false;
    for (Arrival arrival : traced) {
      if (arrival.event().rawBrokerTime() != found.causeBrokerTime()) {
        continue;
      }
      boolean own = arrival.event().id().equals(found.event().id());
      if (cause == null || own && !isOwn || own == isOwn && arrival.place().compareTo(cause.place()) < 0) {
        cause = arrival;
        isOwn = own;
      }
    }
    return cause;
  }

  private static List<Row> headers(TraceContext context, boolean recorded) {
    Row parent = header(TraceContext.PARENT, context.parent(recorded));
    return context.state().isEmpty() ? List.of(parent) : List.of(parent, header(TraceContext.STATE, context.state()));
  }

  private static Row header(String name, String text) {
    return RowFactory.create(name, text.getBytes(StandardCharsets.UTF_8));
  }

  /** What cardwatch_detector.velocity.publishing.alert_traces makes a span of. */
  private static String span(Transition found, String status, long detectedAt, Arrival cause, TraceContext next) {
    ObjectNode span = JSON.createObjectNode();
    span.put("parent", cause.trace().parent(true));
    span.put("state", cause.trace().state());
    span.put("span_id", next.spanId());
    span.put("partition", cause.place().partition());
    span.put("offset", cause.place().offset());
    span.put("alert_id", AlertId.of(found.rule(), found.event().id()));
    span.put("rule_id", found.rule().id());
    span.put("status", status);
    span.put("detected_at", detectedAt);
    return span.toString();
  }
}
