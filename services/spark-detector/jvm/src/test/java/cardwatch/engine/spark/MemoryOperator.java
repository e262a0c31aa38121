package cardwatch.engine.spark;

import cardwatch.engine.program.Program;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.TreeSet;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.streaming.ExpiredTimerInfo;
import org.apache.spark.sql.streaming.OutputMode;
import org.apache.spark.sql.streaming.TimeMode;
import org.apache.spark.sql.streaming.TimerValues;
import scala.Tuple2;
import scala.Tuple3;
import scala.jdk.javaapi.CollectionConverters;

/**
 * The operator over state in memory, called as Spark calls it: each task has a processor of its own, which opens what
 * the task before it has saved.
 */
final class MemoryOperator {
  final MemoryHandle handle = new MemoryHandle();

  /** Microseconds. */
  long watermark;

  /** The clock of the processing time, microseconds. */
  long now;

  private final Options options;
  private Program program;

  MemoryOperator(Options options, Program program) {
    this.options = options;
    this.program = program;
  }

  /** Use other rules from the next task on. */
  void use(Program rules) {
    program = rules;
  }

  /** One task with arrivals of one key. */
  List<Row> run(String scope, String key, List<Arrival> arrivals) {
    Tuple2<String, String> of = new Tuple2<>(key, scope);
    VelocityProcessor processor = begin();
    handle.key = of;
    List<Tuple3<String, String, byte[]>> rows = new ArrayList<>();
    arrivals.forEach(arrival -> rows.add(new Tuple3<>(key, scope, arrival.toBytes())));
    List<Row> results = new ArrayList<>();
    CollectionConverters.asJava(processor.handleInputRows(of, CollectionConverters.asScala(rows.iterator()), times()))
        .forEachRemaining(results::add);
    processor.close();
    return results;
  }

  /** Let timers expire as Spark does at the end of a micro-batch; returns how many did. */
  int expire() {
    VelocityProcessor processor = begin();
    int expired = 0;
    for (var own : new HashMap<>(handle.timers).entrySet()) {
      for (long timer : new TreeSet<>(own.getValue())) {
        if (timer <= watermark / VelocityProcessor.MICROSECONDS_PER_MILLISECOND) {
          handle.key = own.getKey();
          ExpiredTimerInfo info = new ExpiredTimerInfo() {
            private static final long serialVersionUID = 1L;

            @Override
            public long getExpiryTimeInMs() {
              return timer;
            }
          };
          @SuppressWarnings("unchecked") // `run` has set it
          var key = (Tuple2<String, String>) own.getKey();
          processor.handleExpiredTimer(key, times(), info);
          handle.deleteTimer(timer);
          expired++;
        }
      }
    }
    processor.close();
    return expired;
  }

  private VelocityProcessor begin() {
    Program rules = program;
    VelocityProcessor processor = new VelocityProcessor(options, () -> rules);
    processor.setHandle(handle);
    processor.init(OutputMode.Update(), TimeMode.EventTime());
    return processor;
  }

  private TimerValues times() {
    long processing = now / VelocityProcessor.MICROSECONDS_PER_MILLISECOND;
    long event = watermark / VelocityProcessor.MICROSECONDS_PER_MILLISECOND;
    return new TimerValues() {
      private static final long serialVersionUID = 1L;

      @Override
      public long getCurrentProcessingTimeInMs() {
        return processing;
      }

      @Override
      public long getCurrentWatermarkInMs() {
        return event;
      }
    };
  }
}
