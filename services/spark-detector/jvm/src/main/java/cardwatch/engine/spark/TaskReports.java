package cardwatch.engine.spark;

import cardwatch.engine.program.SetAside;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.spark.sql.Row;

/**
 * What a task reports about its rules, as JSON that cardwatch_detector.velocity.rules.active_rules reads.
 *
 * <p>A rule that fails is reported at once. What rules took is known when the last key is done, and a task cannot
 * return rows any more then: that report is returned by the next task of the query in this process.
 */
final class TaskReports {
  private static final ObjectMapper JSON = new ObjectMapper();
  // By the id of a query's run: what its ended tasks have left.
  private static final Map<UUID, Queue<String>> KEPT = new ConcurrentHashMap<>();
  private static final double MIN_SECONDS = 0.001;

  private final UUID run;
  private final Map<String, String> unreported = new LinkedHashMap<>();
  private final Set<String> reported = new HashSet<>();
  private long transactions;

  TaskReports(UUID run, List<SetAside> setAside) {
    this.run = run;
    setAside.forEach(rule -> unreported.put(rule.ruleId(), rule.reason()));
  }

  /** The rows of what ended tasks have left, each once. */
  List<Row> ofEarlierTasks() {
    Queue<String> kept = KEPT.get(run);
    if (kept == null || kept.isEmpty()) {
      return List.of();
    }
    List<Row> rows = new ArrayList<>();
    for (String report = kept.poll(); report != null; report = kept.poll()) {
      rows.add(ResultRows.report(report));
    }
    return rows;
  }

  /** Count transactions that were evaluated. */
  void evaluated(int number) {
    transactions += number;
  }

  /** Report the rules that have failed and are not reported yet. */
  void failures(ScopeEngine engine, List<Row> results) {
    if (engine.ledger().hasFailures()) {
      unreported.putAll(engine.ledger().failures());
    }
    unreported.keySet().removeAll(reported);
    if (!unreported.isEmpty()) {
      results.add(ResultRows.report(report(unreported, Map.of(), 0)));
      reported.addAll(unreported.keySet());
      unreported.clear();
    }
  }

  /** Leave what the rules took for the next task. */
  void keep(Collection<ScopeEngine> engines) {
    Map<String, Double> seconds = new LinkedHashMap<>();
    long redecided = 0;
    for (ScopeEngine engine : engines) {
      engine.ledger().seconds().forEach((rule, spent) -> {
        if (spent > MIN_SECONDS) {
          seconds.put(rule, spent);
        }
      });
      redecided += engine.ledger().redecided();
    }
    if (redecided > 0 || !seconds.isEmpty()) {
      KEPT.computeIfAbsent(run, id -> new ConcurrentLinkedQueue<>()).add(report(Map.of(), seconds, redecided));
    }
  }

  private String report(Map<String, String> failed, Map<String, Double> seconds, long redecided) {
    ObjectNode report = JSON.createObjectNode();
    report.set("failed", JSON.valueToTree(failed));
    report.set("seconds", JSON.valueToTree(seconds));
    report.put("rows", transactions);
    report.put("redecided", redecided);
    return report.toString();
  }
}
