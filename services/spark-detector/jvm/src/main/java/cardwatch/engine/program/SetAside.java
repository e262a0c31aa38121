package cardwatch.engine.program;

/**
 * A rule that is not evaluated.
 *
 * @param ruleId which one
 * @param version which version of it
 * @param reason why, as a sentence
 */
public record SetAside(String ruleId, int version, String reason) {}
