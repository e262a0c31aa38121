package cardwatch.engine.spark;

import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.write.DataWriter;
import org.apache.spark.sql.connector.write.PhysicalWriteInfo;
import org.apache.spark.sql.connector.write.WriterCommitMessage;
import org.apache.spark.sql.connector.write.streaming.StreamingDataWriterFactory;
import org.apache.spark.sql.connector.write.streaming.StreamingWrite;

/** Stands in for the Kafka sink where nothing is published. */
final class Discarding implements StreamingWrite {
  @Override
  public StreamingDataWriterFactory createStreamingWriterFactory(PhysicalWriteInfo info) {
    return new Factory();
  }

  @Override
  public void commit(long epochId, WriterCommitMessage[] messages) {
    // Nothing was written.
  }

  @Override
  public void abort(long epochId, WriterCommitMessage[] messages) {
    // Nothing was written.
  }

  private record Factory() implements StreamingDataWriterFactory {
    @Override
    public DataWriter<InternalRow> createWriter(int partitionId, long taskId, long epochId) {
      return new Writer();
    }
  }

  /** Writes nothing. */
  static final class Writer implements DataWriter<InternalRow> {
    @Override
    public void write(InternalRow row) {
      // Discarded.
    }

    @Override
    public WriterCommitMessage commit() {
      return new Nothing();
    }

    @Override
    public void abort() {
      // Nothing was written.
    }

    @Override
    public void close() {
      // Nothing is open.
    }
  }

  private record Nothing() implements WriterCommitMessage {
    // There is nothing to say.
  }
}
