package cardwatch.engine.spark;

import java.io.IOException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.write.DataWriter;
import org.apache.spark.sql.connector.write.PhysicalWriteInfo;
import org.apache.spark.sql.connector.write.WriterCommitMessage;
import org.apache.spark.sql.connector.write.streaming.StreamingDataWriterFactory;
import org.apache.spark.sql.connector.write.streaming.StreamingWrite;

/**
 * Writes micro-batches through Spark's Kafka sink.
 *
 * <p>Spark asks for a factory in the query's thread before the job of each micro-batch, and calls {@code commit} there
 * when all tasks have published, before it notes in the checkpoint that the micro-batch is done. So what is refused in
 * between is done again.
 */
final class ResultWrite implements StreamingWrite {
  private final StreamingWrite kafka;
  private final SinkControl control;
  private long beganAt;

  ResultWrite(StreamingWrite kafka, String controlId) {
    this.kafka = kafka;
    control = controlId == null ? null : SinkControl.find(controlId);
    if (control == null) {
      throw new IllegalStateException("the sink has no control in this driver");
    }
  }

  @Override
  public StreamingDataWriterFactory createStreamingWriterFactory(PhysicalWriteInfo info) {
    beganAt = now();
    control.begin();
    return new Factory(kafka.createStreamingWriterFactory(info), control.id());
  }

  @Override
  public boolean useCommitCoordinator() {
    return kafka.useCommitCoordinator();
  }

  @Override
  public void commit(long epochId, WriterCommitMessage[] messages) {
    control.check();
    kafka.commit(epochId, ofKafka(messages));
    BatchReport all = new BatchReport();
    for (WriterCommitMessage message : messages) {
      all.add(((Committed) message).report());
    }
    control.published(all.json(beganAt, now()));
  }

  @Override
  public void abort(long epochId, WriterCommitMessage[] messages) {
    kafka.abort(epochId, ofKafka(messages));
  }

  private static WriterCommitMessage[] ofKafka(WriterCommitMessage[] messages) {
    WriterCommitMessage[] own = new WriterCommitMessage[messages.length];
    for (int at = 0; at < own.length; at++) {
      own[at] = messages[at] == null ? null : ((Committed) messages[at]).kafka(); // null: of a task that failed
    }
    return own;
  }

  private static long now() {
    return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
  }

  /** What a task has written. */
  private record Committed(WriterCommitMessage kafka, BatchReport report) implements WriterCommitMessage {}

  /** Makes the writers of tasks, on the executors. */
  private record Factory(StreamingDataWriterFactory kafka, String controlId) implements StreamingDataWriterFactory {
    @Override
    @SuppressWarnings("resource") // the writer that is returned closes the other one
    public DataWriter<InternalRow> createWriter(int partitionId, long taskId, long epochId) {
      return new Writer(kafka.createWriter(partitionId, taskId, epochId), SinkControl.find(controlId));
    }
  }

  /** Writes what a task returns. On another machine than the driver it does not ask for the right to. */
  record Writer(DataWriter<InternalRow> kafka, SinkControl control, BatchReport report)
      implements DataWriter<InternalRow> {
    Writer(DataWriter<InternalRow> kafka, SinkControl control) {
      this(kafka, control, new BatchReport());
    }

    @Override
    public void write(InternalRow row) throws IOException {
      if (control != null) {
        control.check();
      }
      if (report.take(row)) {
        kafka.write(row);
      }
    }

    @Override
    public WriterCommitMessage commit() throws IOException {
      WriterCommitMessage message = kafka.commit();
      report.acknowledged(now());
      return new Committed(message, report);
    }

    @Override
    public void abort() throws IOException {
      kafka.abort();
    }

    @Override
    public void close() throws IOException {
      kafka.close();
    }
  }
}
