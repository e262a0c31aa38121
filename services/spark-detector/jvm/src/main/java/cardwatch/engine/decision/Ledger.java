package cardwatch.engine.decision;

import cardwatch.engine.program.Rule;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What evaluating the rules of a scope took, and which of them failed, since the ledger was made. For one thread. */
public final class Ledger {
  private static final double NANOSECONDS = 1e9;

  private final List<Rule> rules;
  private final long[] nanoseconds;
  private final String[] failures;
  private long learning;
  private long redecided;
  private int failed;

  Ledger(List<Rule> rules) {
    this.rules = rules;
    nanoseconds = new long[rules.size()];
    failures = new String[rules.size()];
  }

  /** Rule id → the time that its evaluation took, seconds. What rules share counts for the first of them. */
  public Map<String, Double> seconds() {
    Map<String, Double> seconds = new LinkedHashMap<>();
    for (int at = 0; at < nanoseconds.length; at++) {
      seconds.put(rules.get(at).id(), nanoseconds[at] / NANOSECONDS);
    }
    return seconds;
  }

  /** Whether a rule has failed. */
  public boolean hasFailures() {
    return failed > 0;
  }

  /** Rule id → the error because of which the rule is not evaluated any more. */
  public Map<String, String> failures() {
    Map<String, String> found = new LinkedHashMap<>();
    for (int at = 0; at < failures.length; at++) {
      if (failures[at] != null) {
        found.put(rules.get(at).id(), failures[at]);
      }
    }
    return found;
  }

  /**
   * How many times transactions were decided again because others came late, twice with other contents, or with a
   * profile.
   */
  public long redecided() {
    return redecided;
  }

  /**
   * The time that new rules took to go through what was there before them, nanoseconds. It is not in {@link #seconds}:
   * a rule is not to be set aside for it.
   */
  long learning() {
    return learning;
  }

  /** The positions of the rules that have not failed. */
  List<Integer> evaluated() {
    List<Integer> positions = new ArrayList<>();
    for (int at = 0; at < failures.length; at++) {
      if (failures[at] == null) {
        positions.add(at);
      }
    }
    return positions;
  }

  /** How many rules have failed. */
  int failed() {
    return failed;
  }

  void took(int rule, long duration) {
    nanoseconds[rule] += duration;
  }

  void learned(long duration) {
    learning += duration;
  }

  void failed(int rule, Throwable error) {
    failed += failures[rule] == null ? 1 : 0;
    failures[rule] = error.getClass().getSimpleName() + (error.getMessage() == null ? "" : ": " + error.getMessage());
  }

  void redecided(long number) {
    redecided += number;
  }
}
