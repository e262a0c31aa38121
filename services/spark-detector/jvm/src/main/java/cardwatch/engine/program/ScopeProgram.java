package cardwatch.engine.program;

import cardwatch.engine.timeline.TrackSet;
import java.util.List;

/**
 * The rules of one scope, and what they need of a key's timeline.
 *
 * @param scope as in rules: {@code card}
 * @param rules in the program's order
 * @param tracks what the measures need, each once
 * @param computations what the rules' measures compute, each once: by {@link Measure#slot}
 */
public record ScopeProgram(String scope, List<Rule> rules, TrackSet tracks, List<Measure.Computation> computations) {
  /** Copies the lists. */
  public ScopeProgram {
    rules = List.copyOf(rules);
    computations = List.copyOf(computations);
  }

  /** The longest window of its rules, microseconds. */
  public long longestWindowUs() {
    return rules.stream().mapToLong(Rule::longestWindowUs).max().orElse(0);
  }
}
