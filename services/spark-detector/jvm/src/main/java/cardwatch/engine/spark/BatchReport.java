package cardwatch.engine.spark;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.catalyst.InternalRow;

/**
 * What a task, or a whole micro-batch, has published, and the reports of its rules; as JSON that
 * cardwatch_detector.velocity.publishing.batch_reports reads.
 */
final class BatchReport implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int TOPIC = ResultRows.TYPE.fieldIndex(ResultRows.TOPIC);
  private static final int EVENT_TIME = ResultRows.TYPE.fieldIndex(ResultRows.EVENT_TIME);
  private static final int RULE_ID = ResultRows.TYPE.fieldIndex(ResultRows.RULE_ID);
  private static final int STATUS = ResultRows.TYPE.fieldIndex(ResultRows.STATUS);
  private static final int MODE = ResultRows.TYPE.fieldIndex(ResultRows.MODE);
  private static final int RAW_BROKER_TIME = ResultRows.TYPE.fieldIndex(ResultRows.RAW_BROKER_TIME);
  private static final int SPAN = ResultRows.TYPE.fieldIndex(ResultRows.SPAN);
  private static final int LATE_SCOPES = ResultRows.TYPE.fieldIndex(ResultRows.LATE_SCOPES);
  private static final int LATE_BY = ResultRows.TYPE.fieldIndex(ResultRows.LATE_BY);
  private static final int REPORT = ResultRows.TYPE.fieldIndex(ResultRows.REPORT);

  private final Map<List<String>, Integer> alerts = new HashMap<>();
  private final List<long[]> times = new ArrayList<>();
  private final Map<String, Integer> lateByScopes = new HashMap<>();
  private final List<String> spans = new ArrayList<>();
  private final List<String> rules = new ArrayList<>();
  private long latestBy;

  /** Count a row of {@link ResultRows}; returns whether it is a message, which is to be published. */
  boolean take(InternalRow row) {
    if (row.isNullAt(TOPIC)) {
      rules.add(text(row, REPORT));
      return false;
    }
    if (row.isNullAt(LATE_SCOPES)) {
      alerts.merge(List.of(text(row, RULE_ID), text(row, STATUS), text(row, MODE)), 1, Integer::sum);
      times.add(new long[] {row.getLong(EVENT_TIME), row.getLong(RAW_BROKER_TIME)});
      if (!row.isNullAt(SPAN)) {
        spans.add(text(row, SPAN));
      }
    } else {
      lateByScopes.merge(text(row, LATE_SCOPES), 1, Integer::sum);
      latestBy = Math.max(latestBy, row.getLong(LATE_BY));
    }
    return true;
  }

  /** The broker has acknowledged all: from the times of alerts to now, microseconds, is what they took. */
  void acknowledged(long now) {
    for (long[] of : times) {
      for (int at = 0; at < of.length; at++) {
        of[at] = Math.max(0, now - of[at]);
      }
    }
  }

  /** Add what another task has published. */
  void add(BatchReport other) {
    other.alerts.forEach((kind, number) -> alerts.merge(kind, number, Integer::sum));
    times.addAll(other.times);
    other.lateByScopes.forEach((scopes, number) -> lateByScopes.merge(scopes, number, Integer::sum));
    spans.addAll(other.spans);
    rules.addAll(other.rules);
    latestBy = Math.max(latestBy, other.latestBy);
  }

  /** All of it; the micro-batch began and ended at these times, microseconds since 1970-01-01 UTC. */
  String json(long beganAt, long endedAt) {
    ObjectNode report = JSON.createObjectNode();
    report.put("began_at", beganAt);
    report.put("ended_at", endedAt);
    ArrayNode kinds = report.putArray("alerts");
    alerts.forEach((kind, number) -> {
      ArrayNode one = kinds.addArray();
      kind.forEach(one::add);
      one.add(number);
    });
    ArrayNode latencies = report.putArray("latencies");
    times.forEach(of -> latencies.addArray().add(of[0]).add(of[1]));
    report.set("late", JSON.valueToTree(lateByScopes));
    report.put("latest_by", latestBy);
    report.set("spans", JSON.valueToTree(spans));
    report.set("rules", JSON.valueToTree(rules));
    return report.toString();
  }

  private static String text(InternalRow row, int at) {
    return row.getUTF8String(at).toString();
  }
}
