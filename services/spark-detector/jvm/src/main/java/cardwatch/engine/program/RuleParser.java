package cardwatch.engine.program;

import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.Track;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Compiles the rules of a program into their scopes. */
final class RuleParser {
  private static final Set<String> SCOPES = Set.of("card", "merchant", "device", "ip", "bin");
  private static final String PAUSED = "paused";

  private final Map<String, Set<String>> lists;
  private final Map<String, ScopeBuilder> scopes;
  private final Map<String, Long> listFingerprints = new HashMap<>();

  RuleParser(Map<String, Set<String>> lists, Map<String, ScopeBuilder> scopes) {
    this.lists = lists;
    this.scopes = scopes;
  }

  /**
   * Compile a rule; a paused one is checked, and left out.
   *
   * @throws UnknownInstructionException it uses what this engine does not know; nothing of it is in its scope then
   */
  void add(JsonNode json) {
    String name = Json.text(json, "scope");
    if (!SCOPES.contains(name)) {
      throw new UnknownInstructionException("there is no scope `" + name + "`");
    }
    // On its own first, so that a rule that fails leaves no mask and no track behind.
    boolean paused = rule(json, new ScopeBuilder(name)).mode().equals(PAUSED);
    if (!paused) {
      ScopeBuilder scope = scopes.computeIfAbsent(name, ScopeBuilder::new);
      scope.add(rule(json, scope));
    }
  }

  private Rule rule(JsonNode json, ScopeBuilder scope) {
    long suppressUs = Json.isNull(json, "suppress_us") ? 0 : Json.whole64(json, "suppress_us");
    Fingerprint fingerprint = new Fingerprint().add(Json.text(json, "scope")).add(suppressUs);
    List<Measure> measures = new ArrayList<>();
    for (JsonNode measure : Json.array(json, "measures")) {
      measures.add(measure(measure, scope, fingerprint));
    }
    JsonNode when = json.path("when");
    Condition condition = new Condition(ExpressionParser.ofRule(lists, measures).condition(when));
    addExpression(fingerprint, when);
    return new Rule(Json.text(json, "id"), Json.whole(json, "version"), Json.text(json, "title"),
        Json.text(json, "severity"), Json.text(json, "mode"), Json.text(json, "scope"), suppressUs, measures, condition,
        Json.truth(json, "uses_profile"), measures.stream().mapToLong(Measure::windowUs).max().orElse(1),
        fingerprint.value());
  }

  private Measure measure(JsonNode json, ScopeBuilder scope, Fingerprint rule) {
    Aggregate aggregate = Aggregate.ofWord(Json.text(json, "aggregate"));
    Field field = Json.isNull(json, "field") ? null : Json.field(json, "field");
    aggregate.check(field);
    Json.requireType(json, aggregate.type(field));
    WhereMask where = mask(json, aggregate.requiredFields(field));
    int mask = scope.mask(where);
    int track = aggregate.track() == null ? -1 : scope.track(new Track(aggregate.track(), mask, field));
    long windowUs = Json.whole64(json, "window_us");
    rule.add(aggregate.name()).add(windowUs).add(field == null ? null : field.name()).add(where.fingerprint());
    Measure.Computation computation = new Measure.Computation(aggregate, windowUs, field, mask, track);
    return new Measure(Json.text(json, "name"), Json.text(json, "expression"), scope.slot(computation), computation);
  }

  private WhereMask mask(JsonNode json, List<Field> fields) {
    Fingerprint fingerprint = new Fingerprint();
    fields.forEach(field -> fingerprint.add(field.name()));
    if (Json.isNull(json, "where")) {
      return new WhereMask(null, fields, fingerprint.value());
    }
    JsonNode where = json.get("where");
    Condition condition = new Condition(ExpressionParser.ofTransactions(lists).condition(where));
    addExpression(fingerprint, where);
    return new WhereMask(condition, fields, fingerprint.value());
  }

  /** Adds what an expression says, and what is in the lists that it names. */
  private void addExpression(Fingerprint fingerprint, JsonNode expression) {
    fingerprint.add(expression.toString());
    for (String name : new TreeSet<>(expression.findValuesAsText("list"))) {
      fingerprint.add(name).add(listFingerprints.computeIfAbsent(name, this::listFingerprint));
    }
  }

  private long listFingerprint(String name) {
    Fingerprint fingerprint = new Fingerprint();
    new TreeSet<>(lists.getOrDefault(name, Set.of())).forEach(fingerprint::add);
    return fingerprint.value();
  }
}
