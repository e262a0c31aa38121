package cardwatch.engine.decision;

import static org.junit.jupiter.api.Assertions.assertEquals;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.program.Program;
import cardwatch.engine.program.ScopeProgram;
import cardwatch.engine.timeline.MemoryStore;
import cardwatch.engine.timeline.Timelines;
import cardwatch.engine.timeline.TrackSet;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;

/** A rule that comes to keys with many transactions. */
class NewRuleTest {
  private static final int MANY = 5000;
  private static final long START = 1_790_000_000_000_000L;
  private static final long STEP = 1000;
  private static final String RULE = """
      {"id": "%s", "version": 1, "title": "t", "severity": "high", "mode": "live", "scope": "merchant",
        "suppress_us": 0, "lists": [], "uses_profile": false,
        "measures": [{"name": "n", "expression": "e", "window_us": 3600000000, "aggregate": "%s", "field": %s,
          "where": null, "type": "integer"}],
        "when": {"op": "ge", "of": "integer", "args": [{"op": "measure", "index": 0, "type": "integer"},
          {"op": "literal", "type": "integer", "value": %d}]}}""";
  private static final String COUNTS = RULE.formatted("counts", "count", "null", 1_000_000);
  private static final String CARDS = RULE.formatted("cards", "count_distinct", "\"card_token\"", 3);

  private int sent;

  @Test
  void it_knows_all_that_was_there_before_it() {
    MemoryStore key = keyOf(MANY);
    assertEquals(List.of("cards raised t5000"), touch(key, decisions(Double.MAX_VALUE, COUNTS, CARDS)));
  }

  @Test
  void where_time_is_spent_it_waits_with_keys_that_have_many_transactions_until_a_later_touch() {
    MemoryStore first = keyOf(MANY);
    MemoryStore second = keyOf(MANY);
    final MemoryStore small = keyOf(100);
    One decisions = decisions(0, COUNTS, CARDS);
    assertEquals(1, touch(first, decisions).size());
    assertEquals(List.of(), touch(second, decisions));
    assertEquals(1, touch(small, decisions).size(), "of few transactions");
    assertEquals(1, touch(first, decisions).size(), "it is known there");
    // the next micro-batch
    assertEquals(List.of("cards raised t" + sent), touch(second, decisions(0, COUNTS, CARDS)), "nothing for before");
  }

  @Test
  void what_it_went_through_does_not_count_as_its_cost() {
    One decisions = decisions(Double.MAX_VALUE, COUNTS, CARDS);
    touch(keyOf(MANY), decisions);
    Ledger ledger = decisions.decisions().ledger();
    assertEquals(true, ledger.learning() > 0);
    assertEquals(true, ledger.seconds().get("cards") < ledger.learning() / 1e9);
  }

  @Test
  void the_values_of_a_rule_that_is_gone_go_with_the_transactions() {
    MemoryStore key = new MemoryStore();
    send(key, decisions(1, COUNTS, CARDS), MANY, 0);
    One one = decisions(1, COUNTS);
    send(key, one, 1, 0);
    int before = key.blocks();
    MemoryStore without = new MemoryStore();
    for (int round = 0; round < 20; round++) {
      sent += MANY / 10;
      send(key, one, 10, START + (sent - MANY) * STEP);
      sent -= 10;
      send(without, one, 10, START + (sent - MANY) * STEP);
    }
    assertEquals(true, before > without.blocks() + 500, "its 500 values");
    assertEquals(without.blocks(), key.blocks(), 64, "but for the ids of evicted transactions in the first leaf");
  }

  private MemoryStore keyOf(int transactions) {
    MemoryStore store = new MemoryStore();
    send(store, decisions(1, COUNTS), transactions, 0);
    return store;
  }

  /** Decisions of a micro-batch, and what its timelines are opened with. */
  private record One(Decisions decisions, TrackSet tracks) {}

  private static One decisions(double learningSeconds, String... rules) {
    String json = "{\"version\": 1, \"rules\": [" + String.join(",", rules) + "]}";
    ScopeProgram program = Program.parse(json, "{}").scopes().get("merchant");
    return new One(new Decisions(new ProgramEvaluator(program), 1, learningSeconds), program.tracks());
  }

  private List<String> touch(MemoryStore store, One decisions) {
    return send(store, decisions, 1, 0);
  }

  /** One touch, of some transactions; returns what changes. */
  private List<String> send(MemoryStore store, One one, int transactions, long evictUntil) {
    List<Event> events = new ArrayList<>();
    for (int left = transactions; left > 0; left--) {
      long time = START + sent * STEP;
      events.add(new Event.Builder()
              .times(time, time)
              .text(Field.TRANSACTION_ID, "t" + sent)
              .text(Field.CARD_TOKEN, "card-" + sent % 500)
              .build());
      sent++;
    }
    List<String> found = new ArrayList<>();
    Touch touch = new Touch(Timelines.open(store, one.tracks()), Profiles.open(store), events, List.of(), evictUntil);
    one.decisions().decide(touch, change -> found.add(describe(change)));
    touch.timeline().save();
    return found;
  }

  private static String describe(Transition change) {
    String status = change.status().name().toLowerCase(Locale.ROOT);
    return change.rule().id() + " " + status + " " + change.event().id();
  }
}
