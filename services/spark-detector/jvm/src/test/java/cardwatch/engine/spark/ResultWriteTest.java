package cardwatch.engine.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.write.DataWriter;
import org.apache.spark.sql.connector.write.WriterCommitMessage;
import org.apache.spark.unsafe.types.UTF8String;
import org.junit.jupiter.api.Test;

@SuppressWarnings("resource") // nothing is open in these
class ResultWriteTest {
  private final List<String> topics = new ArrayList<>();
  private String refused = "";
  private final SinkControl control =
      SinkControl.open(begins -> "{\"refused\": \"" + refused + "\", \"held_seconds\": 0}");

  @Test
  void messagesArePublishedAndReportsAreKept() throws Exception {
    List<WriterCommitMessage> messages = new ArrayList<>();
    try (DataWriter<InternalRow> writer = writer()) {
      writer.write(alert("raised"));
      writer.write(alert("raised"));
      writer.write(alert("retracted"));
      messages.add(writer.commit());
    }
    try (DataWriter<InternalRow> writer = writer()) {
      writer.write(late("card,merchant", 7));
      writer.write(late("card", 9));
      writer.write(row(ResultRows.REPORT, "{\"rows\":1}"));
      messages.add(writer.commit());
    }
    assertEquals(List.of("alerts", "alerts", "alerts", "late", "late"), topics);
    assertEquals("[]", control.takeReports(), "nothing is reported before the micro-batch is published");
    write().commit(0, messages.toArray(WriterCommitMessage[] ::new));
    JsonNode report = new ObjectMapper().readTree(control.takeReports()).get(0);
    List<String> alerts = new ArrayList<>();
    report.get("alerts").forEach(one -> alerts.add(one.toString()));
    assertEquals(List.of("[\"r\",\"raised\",\"live\",2]", "[\"r\",\"retracted\",\"live\",1]"),
        alerts.stream().sorted().toList());
    assertEquals("{\"card\":1,\"card,merchant\":1}", sorted(report.get("late")));
    assertEquals(9, report.get("latest_by").asLong());
    assertEquals("[\"{\\\"rows\\\":1}\"]", report.get("rules").toString());
    assertEquals(3, report.get("latencies").size());
    long latency = report.get("latencies").get(0).get(1).asLong();
    assertEquals(System.currentTimeMillis() * 1000.0, latency, 60e6, "from raw_broker_time, 0, to now");
  }

  @Test
  void withoutTheRightNothingIsPublishedAndNothingCommitted() throws Exception {
    DataWriter<InternalRow> writer = writer();
    writer.write(alert("raised"));
    WriterCommitMessage[] messages = {writer.commit()};
    refused = "the lease is lost";
    assertThrows(IllegalStateException.class, () -> writer.write(alert("raised")));
    assertThrows(IllegalStateException.class, () -> write().commit(0, messages));
    assertEquals(List.of("alerts"), topics);
    assertEquals("[]", control.takeReports());
  }

  @Test
  void aQueryThatWarmsUpPublishesNothing() throws Exception {
    try (DataWriter<InternalRow> writer = new ResultWrite.Writer(new Discarding.Writer(), control)) {
      writer.write(alert("raised"));
      write().commit(0, new WriterCommitMessage[] {writer.commit()});
    }
    assertEquals(List.of(), topics);
  }

  private ResultWrite write() {
    return new ResultWrite(new Discarding(), control.id());
  }

  private DataWriter<InternalRow> writer() {
    return new ResultWrite.Writer(new DataWriter<InternalRow>() {
      @Override
      public void write(InternalRow row) {
        topics.add(row.getUTF8String(0).toString());
      }

      @Override
      public WriterCommitMessage commit() {
        return null;
      }

      @Override
      public void abort() {
        topics.clear();
      }

      @Override
      public void close() {
        // Nothing is open.
      }
    }, control);
  }

  private static InternalRow alert(String status) {
    return row(ResultRows.TOPIC, "alerts", ResultRows.EVENT_TIME, 0L, ResultRows.RULE_ID, "r", ResultRows.STATUS,
        status, ResultRows.MODE, "live", ResultRows.RAW_BROKER_TIME, 0L);
  }

  private static InternalRow late(String scopes, long by) {
    return row(ResultRows.TOPIC, "late", ResultRows.LATE_SCOPES, scopes, ResultRows.LATE_BY, by);
  }

  private static InternalRow row(Object... namesAndValues) {
    Object[] values = new Object[ResultRows.TYPE.size()];
    for (int at = 0; at < namesAndValues.length; at += 2) {
      Object value = namesAndValues[at + 1];
      values[ResultRows.TYPE.fieldIndex((String) namesAndValues[at])] =
          value instanceof String text ? UTF8String.fromString(text) : value;
    }
    return new GenericInternalRow(values);
  }

  private static String sorted(JsonNode object) {
    List<String> entries = new ArrayList<>();
    object.properties().forEach(entry -> entries.add("\"" + entry.getKey() + "\":" + entry.getValue()));
    return "{" + String.join(",", entries.stream().sorted().toList()) + "}";
  }
}
