package cardwatch.engine.decision;

import static cardwatch.engine.timeline.RandomEvents.mask;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.program.Profile;
import cardwatch.engine.program.ProfileField;
import cardwatch.engine.program.Rule;
import cardwatch.engine.timeline.DistinctCounts;
import cardwatch.engine.timeline.Timeline;
import cardwatch.engine.timeline.Track;
import cardwatch.engine.timeline.TrackSet;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * Rules with a few kinds of measures, which are computed from a timeline here and from a list of events by
 * NaiveAlerts.
 */
final class ExampleRules implements RuleEvaluator {
  static final long MINUTE = 60_000_000L;
  static final long HOUR = 60 * MINUTE;

  static final TrackSet TRACKS =
      new TrackSet(List.of(mask(1, row -> true), mask(2, row -> "pos".equals(row.text(Field.CHANNEL))),
                       mask(3, row -> row.text(Field.COUNTRY) != null)),
          List.of(new Track(Track.Kind.SUM, 1, Field.AMOUNT_MINOR), new Track(Track.Kind.DISTINCT, 2, Field.COUNTRY)));

  /** What a rule computes. */
  enum Kind { COUNT, SUM_AT_TERMINALS, COUNTRIES, PREVIOUS_AMOUNT }

  /** A rule's measure: which, over which window. */
  record Wanted(Kind kind, long window) {}

  /** A rule's condition. */
  interface When {
    boolean holds(Event event, List<Object> measures, Profile profile);
  }

  /** A rule as the engine sees it, its measures and its condition. */
  record Example(Rule rule, List<Wanted> measures, When when) {}

  private final List<Example> examples;
  private final List<Rule> rules;
  private Timeline timeline;
  private DistinctCounts countries;
  private int ordinal;
  private Profile profile;
  int evaluations;

  ExampleRules(List<Example> examples) {
    this.examples = examples;
    rules = examples.stream().map(Example::rule).toList();
  }

  static Example example(String id, long suppress, boolean profiled, long variant, List<Wanted> measures, When when) {
    long longest = measures.stream().mapToLong(Wanted::window).max().orElse(1);
    long fingerprint = Objects.hash(id, suppress, variant, measures) * 0x9E3779B97F4A7C15L;
    Rule rule = new Rule(id, 1, id, "high", "live", "card", suppress, List.of(), null, profiled, longest, fingerprint);
    return new Example(rule, measures, when);
  }

  /** Rules with many hits, so that suppression matters; another variant has other thresholds and lists. */
  static List<Example> all(int variant) {
    Set<String> list = variant % 2 == 0 ? Set.of("DE") : Set.of("DE", "FR");
    return List.of(example("many", 0, false, variant, List.of(new Wanted(Kind.COUNT, 2 * HOUR)),
                       (event, values, profile) -> (long) values.get(0) >= 3 + variant % 3),
        example("burst", HOUR / 2, false, variant, List.of(new Wanted(Kind.COUNT, HOUR)),
            (event, values, profile) -> (long) values.get(0) >= 2),
        example("spent", 2 * HOUR, false, 0,
            List.of(new Wanted(Kind.SUM_AT_TERMINALS, 3 * HOUR), new Wanted(Kind.COUNTRIES, HOUR)),
            (event, values, profile) -> (long) values.get(0) > 150 || (long) values.get(1) > 1),
        example("each", HOUR, false, 0, List.of(), (event, values, profile) -> event.integer(Field.AMOUNT_MINOR) > 20),
        example("falls", 20 * MINUTE, false, 0, List.of(new Wanted(Kind.PREVIOUS_AMOUNT, 5 * HOUR)),
            (event, values,
                profile) -> values.get(0) != null && (long) values.get(0) > event.integer(Field.AMOUNT_MINOR)),
        example("abroad", 3 * HOUR, false, list.hashCode(), List.of(),
            (event, values, profile) -> event.text(Field.COUNTRY) != null && !list.contains(event.text(Field.COUNTRY))),
        example("unusual", HOUR, true, 0, List.of(new Wanted(Kind.COUNT, HOUR)),
            (event, values, profile)
                -> !profile.isNull(ProfileField.MAX_AMOUNT_MINOR_90D)
                && event.integer(Field.AMOUNT_MINOR) > profile.integer(ProfileField.MAX_AMOUNT_MINOR_90D)),
        example("unknown", 0, true, 0, List.of(),
            (event, values,
                profile) -> profile.isNull(ProfileField.TRANSACTIONS_90D) && "pos".equals(event.text(Field.CHANNEL))));
  }

  /** How far back rules look at most. */
  static long horizon(List<Example> examples) {
    return examples.stream()
        .map(Example::rule)
        .mapToLong(rule -> rule.longestWindowUs() + 7 * rule.suppressUs())
        .max()
        .orElse(0);
  }

  @Override
  public List<Rule> rules() {
    return rules;
  }

  @Override
  public int unbuilt(int rule, Timeline timeline) {
    return 0;
  }

  @Override
  public void build(int rule, Timeline timeline) {
    // the first evaluation does
  }

  @Override
  public void begin(Timeline timeline) {
    this.timeline = timeline;
    countries = timeline.distinct(1);
    ordinal = timeline.size();
  }

  @Override
  public void moveTo(int ordinal, Profile profile) {
    if (ordinal > this.ordinal) {
      throw new IllegalStateException("a step forward");
    }
    this.ordinal = ordinal;
    this.profile = profile;
  }

  @Override
  public boolean holds(int rule) {
    evaluations++;
    return examples.get(rule).when().holds(timeline.event(ordinal), measures(rule), profile);
  }

  @Override
  public List<Object> measures(int rule) {
    List<Object> values = new ArrayList<>();
    examples.get(rule).measures().forEach(measure -> values.add(value(measure)));
    return values;
  }

  private Object value(Wanted measure) {
    long time = timeline.time(ordinal);
    int from = timeline.firstAfter(time - measure.window());
    int to = timeline.firstAfter(time);
    return switch (measure.kind()) {
      case COUNT -> (long) timeline.count(0, from, to);
      case SUM_AT_TERMINALS -> timeline.sum(0, from, to);
      case COUNTRIES -> (long) countries.count(from, to);
      case PREVIOUS_AMOUNT -> {
        int previous = timeline.lastIncluded(0, from, ordinal);
        yield previous < 0 ? null : (Object) timeline.event(previous).integer(Field.AMOUNT_MINOR);
      }
    };
  }

  static Profile profile(long transactions, long largest) {
    return new Profile.Builder()
        .integer(ProfileField.TRANSACTIONS_90D, transactions)
        .integer(ProfileField.MAX_AMOUNT_MINOR_90D, largest)
        .texts(ProfileField.COUNTRIES_90D, Arrays.asList("DE", "FR"))
        .build();
  }
}
