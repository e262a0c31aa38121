package cardwatch.engine.spark;

import cardwatch.engine.decision.Profiles;
import cardwatch.engine.timeline.ArrayTimeline;
import cardwatch.engine.timeline.paged.PagedTimeline;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoder;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.streaming.OutputMode;
import org.apache.spark.sql.streaming.TimeMode;
import scala.Tuple2;
import scala.Tuple3;

/** The rule engine as an operator of Spark's Structured Streaming, which is what Python calls. */
public final class VelocityOperator {
  private static final String SCOPE = "scope";
  private static final String KEY = "key";
  private static final String ARRIVAL = "arrival";

  private VelocityOperator() {}

  /**
   * How the state is laid out that the operator reads and writes; a checkpoint with another one has to be rebuilt.
   */
  public static String stateLayout() {
    return "array " + ArrayTimeline.LAYOUT + ", pages " + PagedTimeline.LAYOUT + ", blocks "
        + PagedTimeline.BLOCK_LAYOUT + ", profiles " + Profiles.LAYOUT;
  }

  /**
   * The alerts of a stream of records, its late transactions, and reports about rules.
   *
   * <p>The rules come with each micro-batch as local properties of its job ({@link AttachedRules}); {@link ResultSink}
   * sets them.
   *
   * @param records {@code event_time}, a timestamp, null for what is in no window; {@code partition} and {@code offset}
   *     of the message, its {@code value}, and where traces are on its {@code headers}; {@code message_key}, under
   * which it is published again if it is too late; {@code transaction}, a struct with all fields of {@link
   *     cardwatch.engine.event.Field} and {@code raw_broker_time}, a timestamp; where profiles are wanted {@code
   * profile}, a struct. A watermark is set upstream, on a column that is none of these: Spark would drop late rows
   * itself.
   * @param options JSON ({@link Options})
   * @return rows of {@link ResultRows#TYPE}
   * @throws IllegalArgumentException the options are not complete
   */
  public static Dataset<Row> alerts(Dataset<Row> records, String options) {
    Options parsed = Options.parse(options);
    Encoder<Tuple3<String, String, byte[]>> arrivals =
        Encoders.tuple(Encoders.STRING(), Encoders.STRING(), Encoders.BINARY());
    Encoder<Tuple2<String, String>> keys = Encoders.tuple(Encoders.STRING(), Encoders.STRING());
    return records.select(ArrivalPacker.columns(parsed))
        .flatMap(new ArrivalPacker(parsed), arrivals)
        .toDF(SCOPE, KEY, ARRIVAL)
        .groupBy(functions.col(KEY), functions.col(SCOPE)) // Spark sorts by the first bytes of the first of them
        .as(keys, arrivals)
        .transformWithState(new VelocityProcessor(parsed, AttachedRules::ofTask), TimeMode.EventTime(),
            OutputMode.Update(), Encoders.row(ResultRows.TYPE));
  }
}
