package cardwatch.engine.spark;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.spark.SparkContext;

/**
 * The driver's side of a running query's sink: attaches the rules to each micro-batch, lets nothing be written while
 * the query may not work, and keeps what micro-batches have published until the detector asks for it.
 *
 * <p>Found by its id in the driver's JVM, which is the tasks' JVM too where Spark runs in one process.
 */
public final class SinkControl {
  private static final Map<String, SinkControl> OPEN = new ConcurrentHashMap<>();
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final double NANOSECONDS_PER_SECOND = 1e9;

  private final String id = UUID.randomUUID().toString();
  private final BatchGate gate;
  private final ConcurrentLinkedQueue<String> reports = new ConcurrentLinkedQueue<>();
  private volatile String program;
  private volatile String lists;
  private volatile boolean asked;
  private volatile long heldUntil; // of System.nanoTime()

  private SinkControl(BatchGate gate) {
    this.gate = gate;
  }

  /** A new control; to be closed when its query is not started again. */
  public static SinkControl open(BatchGate gate) {
    SinkControl made = new SinkControl(gate);
    OPEN.put(made.id, made);
    return made;
  }

  /** The control of an id in this JVM; null if it is in another one. */
  static SinkControl find(String id) {
    return OPEN.get(id);
  }

  /** Its id, an option of the sink. */
  public String id() {
    return id;
  }

  /** Forget it. */
  public void close() {
    OPEN.remove(id);
  }

  /** Set the rules of the micro-batches that begin from now on, as {@link AttachedRules} reads them. */
  public void rules(String newProgram, String newLists) {
    program = newProgram;
    lists = newLists;
  }

  /** Take the reports ({@link BatchReport}) of the micro-batches that have been published since the last call. */
  public String takeReports() {
    List<String> taken = new ArrayList<>();
    for (String report = reports.poll(); report != null; report = reports.poll()) {
      taken.add(report);
    }
    return "[" + String.join(",", taken) + "]";
  }

  /**
   * Begin a micro-batch, in the query's own thread: the jobs that it starts from now on have the rules.
   *
   * @throws IllegalStateException the query may not work, or has no rules
   */
  void begin() {
    ask(true);
    if (program == null) {
      throw new IllegalStateException("the micro-batch came without its rules");
    }
    AttachedRules.attach(SparkContext.getOrCreate(), program, lists);
  }

  /**
   * Return if something may be written.
   *
   * @throws IllegalStateException it may not
   */
  void check() {
    if (!asked || System.nanoTime() - heldUntil >= 0) {
      ask(false);
    }
  }

  /** Keep the report of a micro-batch. */
  void published(String report) {
    reports.add(report);
  }

  private synchronized void ask(boolean begins) {
    if (!begins && asked && System.nanoTime() - heldUntil < 0) {
      return; // another task has asked meanwhile
    }
    long before = System.nanoTime(); // the time that the answer takes must not make the right last longer
    try {
      JsonNode answer = JSON.readTree(gate.ask(begins));
      String refused = answer.required("refused").asText();
      if (!refused.isEmpty()) {
        throw new IllegalStateException(refused);
      }
      heldUntil = before + (long) (answer.required("held_seconds").asDouble() * NANOSECONDS_PER_SECOND);
      asked = true;
    } catch (JsonProcessingException error) {
      throw new IllegalStateException("the detector's answer is no JSON: " + error.getOriginalMessage(), error);
    }
  }
}
