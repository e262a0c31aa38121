package cardwatch.engine.decision;

import static cardwatch.engine.decision.ExampleRules.HOUR;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.RandomExamples;
import cardwatch.engine.decision.ExampleRules.Example;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.program.Profile;
import cardwatch.engine.timeline.ArrayTimeline;
import cardwatch.engine.timeline.BlockStore;
import cardwatch.engine.timeline.MemoryStore;
import cardwatch.engine.timeline.Timeline;
import cardwatch.engine.timeline.TrackSet;
import cardwatch.engine.timeline.paged.SmallPages;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;

class DecisionsTest {
  private static final int HISTORIES = RandomExamples.of(200);

  @Test
  void everyTouchPublishesTheDifferenceOfBeforeAndAfter() {
    checkHistories(ArrayTimeline::open);
  }

  @Test
  void soItDoesWhereEventsAreInPages() {
    checkHistories(SmallPages::open);
  }

  private static void checkHistories(BiFunction<BlockStore, TrackSet, Timeline> open) {
    SeenChanges seen = new SeenChanges();
    for (int seed = 0; seed < HISTORIES; seed++) {
      new RandomHistory(seed, open, seen).run();
    }
    // What the histories have to contain for the test to say anything.
    assertTrue(seen.raised > HISTORIES && seen.suppressed > HISTORIES, seen::toString);
    assertTrue(seen.retracted > HISTORIES && seen.changed > HISTORIES, seen::toString);
    assertTrue(seen.evicted > HISTORIES / 10 && seen.loaded > HISTORIES / 10, seen::toString);
  }

  @Test
  void whatIsAppendedIsAllThatIsEvaluated() {
    Key key = new Key(ExampleRules.all(0));
    key.take(event("a", 0, 50));
    key.take(event("b", HOUR, 50));
    key.evaluator.evaluations = 0;
    key.take(event("c", 2 * HOUR, 50));
    assertEquals(key.rules.size(), key.evaluator.evaluations);
    assertEquals(0, key.decisions.ledger().redecided());
    key.take(event("d", 2 * HOUR, 50)); // its twin in time has it in its windows
    assertEquals(1, key.decisions.ledger().redecided());
  }

  @Test
  void aDuplicateChangesNothingAndEvaluatesNothing() {
    Key key = new Key(ExampleRules.all(0));
    key.take(event("a", 0, 50));
    key.evaluator.evaluations = 0;
    assertEquals(List.of(), key.take(event("a", 0, 50)));
    assertEquals(List.of(), key.take(event("a", HOUR, 10)));
    assertEquals(0, key.evaluator.evaluations);
  }

  @Test
  void onlyTheRulesWhoseWindowsReachALateTransactionAreEvaluatedAgain() {
    Key key = new Key(ExampleRules.all(0));
    key.take(event("b", 4 * HOUR, 50));
    key.evaluator.evaluations = 0;
    key.take(event("a", 0, 50));
    long reaching = key.rules.stream().filter(one -> one.rule().longestWindowUs() > 4 * HOUR).count();
    assertEquals(key.rules.size() + reaching, key.evaluator.evaluations);
  }

  @Test
  void aRuleThatFailsIsSetAsideAndTheOthersGoOn() {
    Example failing = ExampleRules.example("failing", 0, false, 0, List.of(), (event, values, profile) -> {
      if (event.integer(Field.AMOUNT_MINOR) == 13) {
        throw new ArithmeticException("unlucky");
      }
      return true;
    });
    Example each = ExampleRules.example("each", 0, false, 0, List.of(), (event, values, profile) -> true);
    Key key = new Key(List.of(failing, each));
    assertEquals(List.of("failing a RAISED", "each a RAISED"), key.take(event("a", 0, 50)));
    assertEquals(List.of("each b RAISED"), key.take(event("b", HOUR, 13)));
    assertEquals(List.of("each c RAISED"), key.take(event("c", 2 * HOUR, 50)));
    assertEquals(Map.of("failing", "ArithmeticException: unlucky"), key.decisions.ledger().failures());
    assertEquals(Set.of("failing", "each"), key.decisions.ledger().seconds().keySet());
  }

  @Test
  void aStateThatCannotBeReadIsNotTheRulesFault() {
    Example rule = ExampleRules.example("reads", 0, false, 0, List.of(),
        (event, values, profile) -> { throw new IllegalStateException("the state of a key is damaged"); });
    Key key = new Key(List.of(rule));
    assertThrows(IllegalStateException.class, () -> key.take(event("a", 0, 50)));
  }

  @Test
  void profilesAreKeptWithTheKeyUntilTheirDayIsOver() {
    MemoryStore store = new MemoryStore();
    Profiles profiles = Profiles.open(store);
    profiles.put(0, ExampleRules.profile(3, 7));
    profiles.put(Profiles.DAY, ExampleRules.profile(4, 8));
    profiles.save();
    Profiles again = Profiles.open(store);
    assertEquals(ExampleRules.profile(3, 7), again.of(Profiles.DAY - 1));
    assertEquals(ExampleRules.profile(4, 8), again.of(Profiles.DAY));
    assertEquals(Profile.NONE, again.of(2 * Profiles.DAY));
    again.evictUntil(Profiles.DAY - 2);
    assertEquals(ExampleRules.profile(3, 7), again.of(0));
    again.evictUntil(Profiles.DAY - 1);
    assertEquals(Profile.NONE, again.of(0));
    again.evictUntil(2 * Profiles.DAY);
    again.save();
    assertEquals(0, store.blocks());
  }

  private static Event event(String id, long time, long amount) {
    return new Event.Builder()
        .times(time, time)
        .text(Field.TRANSACTION_ID, id)
        .text(Field.CHANNEL, "pos")
        .integer(Field.AMOUNT_MINOR, amount)
        .build();
  }

  /** One key, what has come to it, and how often its rules were evaluated. */
  private static final class Key {
    private final List<Example> rules;
    private final ExampleRules evaluator;
    private final Decisions decisions;
    private final MemoryStore store = new MemoryStore();
    private final Timeline timeline = ArrayTimeline.open(store, ExampleRules.TRACKS);

    Key(List<Example> rules) {
      this.rules = rules;
      evaluator = new ExampleRules(rules);
      decisions = new Decisions(evaluator, 10, 1);
    }

    List<String> take(Event event) {
      List<String> published = new ArrayList<>();
      Touch touch = new Touch(timeline, Profiles.open(store), List.of(event), List.of(), Long.MIN_VALUE);
      decisions.decide(touch, one -> published.add(one.rule().id() + " " + one.event().id() + " " + one.status()));
      return published;
    }
  }
}
