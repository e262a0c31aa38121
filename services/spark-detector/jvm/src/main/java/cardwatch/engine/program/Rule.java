package cardwatch.engine.program;

import java.util.List;

/**
 * A compiled rule.
 *
 * @param id identity of the rule, over all its versions
 * @param version part of an alert's identity
 * @param title one line for a person
 * @param severity as in rules: {@code high}
 * @param mode as in rules: {@code live}, {@code shadow} or {@code paused}
 * @param scope as in rules: {@code card}
 * @param suppressUs at most one alert per key within this time, microseconds; 0 for one alert per hit
 * @param measures in the rule's order
 * @param when for which transactions it hits
 * @param usesProfile whether its condition names a profile
 * @param longestWindowUs its longest window, microseconds; without measures, 1: that of the transaction itself
 * @param fingerprint of what decides its hits and which of them are alerts: scope, measures, condition, suppression,
 *     and the contents of the lists that it uses
 */
public record Rule(String id, int version, String title, String severity, String mode, String scope, long suppressUs,
    List<Measure> measures, Condition when, boolean usesProfile, long longestWindowUs, long fingerprint) {
  /** Copies the measures. */
  public Rule {
    measures = List.copyOf(measures);
  }
}
