package cardwatch.engine.spark;

import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.connector.catalog.SupportsWrite;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.catalog.TableProvider;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.connector.write.LogicalWriteInfo;
import org.apache.spark.sql.connector.write.Write;
import org.apache.spark.sql.connector.write.WriteBuilder;
import org.apache.spark.sql.connector.write.streaming.StreamingWrite;
import org.apache.spark.sql.internal.connector.SupportsStreamingUpdateAsAppend;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * The sink of the operator's rows: Spark's own Kafka sink, with {@link SinkControl} before and after each micro-batch.
 *
 * <p>{@code writeStream.format("cardwatch.engine.spark.ResultSink")}, with the Kafka sink's options and
 *
 * <ul>
 *   <li>{@code control}, the id of a control in the driver;
 *   <li>{@code publish}, false for a query that is only to warm up, without effect.
 * </ul>
 */
public final class ResultSink implements TableProvider {
  static final String CONTROL = "control";
  static final String PUBLISH = "publish";

  private static final String KAFKA = "org.apache.spark.sql.kafka010.KafkaSourceProvider";

  @Override
  public StructType inferSchema(CaseInsensitiveStringMap options) {
    return ResultRows.TYPE;
  }

  @Override
  public Table getTable(StructType schema, Transform[] partitioning, Map<String, String> properties) {
    boolean publishes = !"false".equals(new CaseInsensitiveStringMap(properties).get(PUBLISH));
    return new ResultTable(publishes ? kafka(properties) : null);
  }

  private static SupportsWrite kafka(Map<String, String> properties) {
    try {
      TableProvider provider =
          Class.forName(KAFKA).asSubclass(TableProvider.class).getDeclaredConstructor().newInstance();
      return (SupportsWrite) provider.getTable(ResultRows.TYPE, new Transform[0], properties);
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException("Spark's Kafka connector (spark-sql-kafka) is not on the class path", error);
    }
  }

  /** The table that Spark writes to; {@code kafka} is null where nothing is published. */
  private record ResultTable(SupportsWrite kafka) implements SupportsWrite {
    @Override
    public String name() {
      return "cardwatch";
    }

    @Override
    @Deprecated
    public StructType schema() {
      return ResultRows.TYPE;
    }

    @Override
    public Set<TableCapability> capabilities() {
      return Set.of(TableCapability.STREAMING_WRITE, TableCapability.ACCEPT_ANY_SCHEMA);
    }

    @Override
    public WriteBuilder newWriteBuilder(LogicalWriteInfo info) {
      return new Builder(kafka == null ? null : kafka.newWriteBuilder(info), info.options().get(CONTROL));
    }
  }

  /** Spark asks for the interface where a query's output mode is {@code update}; alerts are appended all the same. */
  private record Builder(WriteBuilder kafka, String control) implements SupportsStreamingUpdateAsAppend {
    @Override
    public Write build() {
      Write write = kafka == null ? null : kafka.build();
      return new Write() {
        @Override
        public StreamingWrite toStreaming() {
          return new ResultWrite(write == null ? new Discarding() : write.toStreaming(), control);
        }
      };
    }
  }
}
