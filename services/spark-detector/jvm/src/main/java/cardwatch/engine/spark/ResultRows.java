package cardwatch.engine.spark;

import cardwatch.engine.decision.Transition;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.program.Measure;
import cardwatch.engine.program.Rule;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** The rows that the operator returns: alerts, late transactions, and reports about rules. For one thread. */
final class ResultRows {
  /**
   * Of each row only some columns have a value; those before `report` are an alert's, those after it a late
   * transaction's.
   */
  static final StructType TYPE = new StructType()
                                     .add("key", DataTypes.StringType)
                                     .add("value", DataTypes.BinaryType)
                                     .add("rule_id", DataTypes.StringType)
                                     .add("status", DataTypes.StringType)
                                     .add("mode", DataTypes.StringType)
                                     .add("event_time", DataTypes.LongType)
                                     .add("raw_broker_time", DataTypes.LongType)
                                     .add("detected_at", DataTypes.LongType)
                                     .add("report", DataTypes.StringType)
                                     .add("late_scope", DataTypes.StringType)
                                     .add("late_partition", DataTypes.IntegerType)
                                     .add("late_offset", DataTypes.LongType)
                                     .add("watermark", DataTypes.LongType);

  // A task lives for milliseconds, and parsing the schema takes one.
  private static final Map<String, Schema> SCHEMAS = new ConcurrentHashMap<>();
  private static final byte MAGIC = 0;
  private static final int HEADER_BYTES = 5;
  private static final Field[] SHOWN = {Field.TRANSACTION_ID, Field.CARD_TOKEN, Field.CARD_BIN, Field.CARD_LAST_FOUR,
      Field.MERCHANT_ID, Field.COUNTRY, Field.AMOUNT_MINOR, Field.CURRENCY, Field.BASE_AMOUNT_MINOR};

  private final Schema schema;
  private final Schema measureSchema;
  private final GenericDatumWriter<GenericRecord> writer;
  private final byte[] header;
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(1024);
  private BinaryEncoder encoder;

  ResultRows(Options options) {
    schema = SCHEMAS.computeIfAbsent(options.alertSchema(), text -> new Schema.Parser().parse(text));
    measureSchema = schema.getField("measures").schema().getElementType();
    writer = new GenericDatumWriter<>(schema);
    header = ByteBuffer.allocate(HEADER_BYTES).put(MAGIC).putInt(options.alertSchemaId()).array();
  }

  /** The row of a change of an alert, detected at a time in microseconds. */
  Row alert(Transition found, String key, long detectedAt) {
    String status = found.status().name().toLowerCase(Locale.ROOT);
    Rule rule = found.rule();
    return RowFactory.create(key, encode(record(found, key, status, detectedAt)), rule.id(), status, rule.mode(),
        found.event().eventTime(), found.causeBrokerTime(), detectedAt, null, null, null, null, null);
  }

  /** The row of a report, JSON. */
  static Row report(String json) {
    return RowFactory.create(null, null, null, null, null, null, null, null, json, null, null, null, null);
  }

  /** The row of a transaction that came after a watermark (microseconds) had passed it. */
  static Row late(String scope, Arrival arrival, long watermark) {
    return RowFactory.create(null, null, null, null, null, arrival.time(), null, null, null, scope, arrival.partition(),
        arrival.offset(), watermark);
  }

  private GenericRecord record(Transition found, String key, String status, long detectedAt) {
    Rule rule = found.rule();
    Event event = found.event();
    GenericRecord alert = new GenericData.Record(schema);
    for (Field field : SHOWN) {
      alert.put(field.avroName(), field.kind() == Field.Kind.TEXT ? event.text(field) : (Object) event.integer(field));
    }
    alert.put("alert_id", AlertId.of(rule, event.id()));
    alert.put("status", status);
    alert.put("rule_id", rule.id());
    alert.put("rule_version", rule.version());
    alert.put("rule_title", rule.title());
    alert.put("severity", rule.severity());
    alert.put("mode", rule.mode());
    alert.put("scope", rule.scope());
    alert.put("key", key);
    alert.put("event_time", event.eventTime());
    alert.put("measures", measures(rule, found.measures()));
    alert.put("window_start", found.windowStart());
    alert.put("evidence_transaction_ids", found.evidence());
    alert.put("evidence_count", (long) found.evidenceCount());
    alert.put("raw_broker_time", found.causeBrokerTime());
    alert.put("detected_at", detectedAt);
    alert.put("suppressed_by", found.countedOn() == null ? null : AlertId.of(rule, found.countedOn()));
    return alert;
  }

  private List<GenericRecord> measures(Rule rule, List<Object> values) {
    List<GenericRecord> records = new ArrayList<>(values.size());
    for (int at = 0; at < values.size(); at++) {
      Measure measure = rule.measures().get(at);
      Object value = values.get(at);
      GenericRecord one = new GenericData.Record(measureSchema);
      one.put("name", measure.name());
      one.put("expression", measure.expression());
      one.put("window_us", measure.windowUs());
      one.put("value", value instanceof String ? null : value);
      one.put("text", value instanceof String ? value : null);
      records.add(one);
    }
    return records;
  }

  private byte[] encode(GenericRecord alert) {
    bytes.reset();
    bytes.writeBytes(header);
    encoder = EncoderFactory.get().binaryEncoder(bytes, encoder);
    try {
      writer.write(alert, encoder);
      encoder.flush();
    } catch (IOException error) {
      throw new UncheckedIOException("an alert could not be encoded", error);
    }
    return bytes.toByteArray();
  }
}
