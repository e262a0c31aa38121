package cardwatch.engine.spark;

import cardwatch.engine.event.Event;
import cardwatch.engine.program.Program;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.streaming.ExpiredTimerInfo;
import org.apache.spark.sql.streaming.OutputMode;
import org.apache.spark.sql.streaming.StatefulProcessor;
import org.apache.spark.sql.streaming.TimeMode;
import org.apache.spark.sql.streaming.TimerValues;
import scala.Tuple2;
import scala.Tuple3;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;

/**
 * The operator's part of one task: the keys of a partition, one after the other.
 *
 * <p>A transaction that is older than the watermark is late: it is returned, by the first of its keys, and not stored.
 * Each key that has state has
 * one timer, which evicts it when nothing more comes: set when the key's state begins, and moved only when it fires.
 *
 * <p>Spark makes one per task, calls init, then handleInputRows per key with arrivals, then handleExpiredTimer per
 * timer, then close.
 */
final class VelocityProcessor extends StatefulProcessor<Tuple2<String, String>, Tuple3<String, String, byte[]>, Row> {
  static final long MICROSECONDS_PER_MILLISECOND = 1000;

  private static final long serialVersionUID = 1L;

  private final Options options;
  private final RuleSource rules;

  private transient StateBlocks store;
  private transient Program program;
  private transient Map<String, ScopeEngine> engines;
  private transient ResultRows rows;
  private transient TaskReports reports;

  /** Gives a task its rules; Spark sends it to the executors. */
  interface RuleSource extends Serializable {
    /** The rules of the task that asks. */
    Program ofTask();
  }

  VelocityProcessor(Options options, RuleSource rules) {
    this.options = options;
    this.rules = rules;
  }

  @Override
  public void init(OutputMode outputMode, TimeMode timeMode) {
    // Also called by the driver, for the names and types of the state's variables.
    store = new StateBlocks(getHandle());
    engines = new HashMap<>();
    program = null;
  }

  @Override
  public Iterator<Row> handleInputRows(
      Tuple2<String, String> key, Iterator<Tuple3<String, String, byte[]>> arrivals, TimerValues times) {
    begin();
    long watermark = times.getCurrentWatermarkInMs() * MICROSECONDS_PER_MILLISECOND;
    long now = times.getCurrentProcessingTimeInMs() * MICROSECONDS_PER_MILLISECOND;
    ScopeEngine engine = engine(key._2());
    List<Row> results = new ArrayList<>(reports.ofEarlierTasks());
    List<Event> events = new ArrayList<>();
    List<Arrival> profiles = new ArrayList<>();
    List<Arrival> traced = new ArrayList<>();
    while (arrivals.hasNext()) {
      Arrival arrival = Arrival.of(arrivals.next()._3(), watermark);
      if (arrival.event() == null) {
        profiles.add(arrival);
      } else if (arrival.time() >= watermark) {
        events.add(arrival.event());
        if (arrival.trace() != null) {
          traced.add(arrival);
        }
      } else if (arrival.original() != null) {
        results.add(rows.late(arrival, watermark));
      }
    }
    store.nextKey();
    ScopeEngine.Key state = engine.open(store);
    boolean began = state.isEmpty();
    long detectedAt = System.currentTimeMillis() * MICROSECONDS_PER_MILLISECOND;
    engine.touch(state, events, profiles, watermark, now,
        transition -> results.add(rows.alert(transition, key._1(), detectedAt, traced)));
    if (began) {
      setTimer(engine, state);
    } else if (state.isEmpty()) {
      removeTimers();
    }
    reports.evaluated(events.size());
    reports.failures(engine, results);
    return CollectionConverters.asScala(results.iterator());
  }

  @Override
  public Iterator<Row> handleExpiredTimer(Tuple2<String, String> key, TimerValues times, ExpiredTimerInfo timer) {
    begin();
    ScopeEngine engine = engine(key._2());
    store.nextKey();
    ScopeEngine.Key state = engine.open(store);
    engine.evict(state, times.getCurrentWatermarkInMs() * MICROSECONDS_PER_MILLISECOND);
    setTimer(engine, state);
    return CollectionConverters.asScala(List.<Row>of().iterator());
  }

  @Override
  public void close() {
    if (reports != null) {
      reports.keep(engines.values());
    }
  }

  /** Take the rules of the task with its first key: when the driver calls init, there are none. */
  private void begin() {
    if (program == null) {
      program = rules.ofTask();
      rows = new ResultRows(options);
      reports = new TaskReports(getHandle().getQueryInfo().getRunId(), program.setAside());
    }
  }

  private ScopeEngine engine(String scope) {
    return engines.computeIfAbsent(scope,
        name -> new ScopeEngine(options.scope(name), program.scopes().get(name), options.alerts().evidenceLimit()));
  }

  /** Have a key evicted when the watermark is so late that nothing of what it holds is needed any more. */
  private void setTimer(ScopeEngine engine, ScopeEngine.Key state) {
    if (!state.isEmpty()) {
      long neededUntil = state.end() + engine.horizonUs();
      getHandle().registerTimer(Math.floorDiv(neededUntil, MICROSECONDS_PER_MILLISECOND) + 1);
    }
  }

  private void removeTimers() {
    List<Long> timers = new ArrayList<>();
    Iterator<Object> found = getHandle().listTimers();
    while (found.hasNext()) {
      timers.add((Long) found.next());
    }
    timers.forEach(getHandle()::deleteTimer);
  }
}
