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
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;

/** Alerts as messages: Avro in Confluent's frame. For one thread. */
final class AlertCodec {
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

  AlertCodec(Options.Alerts options) {
    schema = SCHEMAS.computeIfAbsent(options.schema(), text -> new Schema.Parser().parse(text));
    measureSchema = schema.getField("measures").schema().getElementType();
    writer = new GenericDatumWriter<>(schema);
    header = ByteBuffer.allocate(HEADER_BYTES).put(MAGIC).putInt(options.schemaId()).array();
  }

  /** The value of the message about a change of an alert of a key, detected at a time in microseconds. */
  byte[] encode(Transition found, String key, String status, long detectedAt) {
    bytes.reset();
    bytes.writeBytes(header);
    encoder = EncoderFactory.get().binaryEncoder(bytes, encoder);
    try {
      writer.write(record(found, key, status, detectedAt), encoder);
      encoder.flush();
    } catch (IOException error) {
      throw new UncheckedIOException("an alert could not be encoded", error);
    }
    return bytes.toByteArray();
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
}
