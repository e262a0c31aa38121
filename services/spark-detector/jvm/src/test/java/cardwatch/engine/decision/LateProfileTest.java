package cardwatch.engine.decision;

import static org.junit.jupiter.api.Assertions.assertEquals;

import cardwatch.engine.decision.ExampleRules.Example;
import cardwatch.engine.decision.ExampleRules.Kind;
import cardwatch.engine.decision.ExampleRules.Wanted;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.program.ProfileField;
import cardwatch.engine.timeline.ArrayTimeline;
import cardwatch.engine.timeline.MemoryStore;
import cardwatch.engine.timeline.Timeline;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A profile that comes after transactions of its day. */
class LateProfileTest {
  private static final long HOUR = 3_600_000_000L;
  private static final long HORIZON = 10 * HOUR;
  private static final long WATERMARK = 12 * HOUR;
  private static final int[] TIMES = {3, 5, 9, 11, 13};

  @Test
  void transactions_are_decided_again_as_far_back_as_their_windows_are_whole() {
    // Kept is what is later than the second hour: the window of an hour is whole from the third on.
    assertEquals(List.of("t3", "t5", "t9", "t11", "t13"), retracted(HOUR, 0));
    assertEquals(List.of("t5", "t9", "t11", "t13"), retracted(3 * HOUR, 0));
  }

  @Test
  void suppression_counts_as_a_window() {
    assertEquals(List.of("t11", "t13"), retracted(2 * HOUR, HOUR));
  }

  @Test
  void of_a_rule_that_fills_the_horizon_only_what_is_not_before_the_watermark_is_decided_again() {
    assertEquals(List.of("t13"), retracted(HORIZON, 0));
    assertEquals(List.of("t13"), retracted(HORIZON - 7 * HOUR / 2, HOUR / 2));
  }

  /** Which alerts a profile takes away, of a rule that holds only where there is none. */
  private static List<String> retracted(long window, long suppress) {
    Example rule = ExampleRules.example("unknown", suppress, true, 0, List.of(new Wanted(Kind.COUNT, window)),
        (event, values, profile) -> profile.isNull(ProfileField.TRANSACTIONS_90D));
    Decisions decisions = new Decisions(new ExampleRules(List.of(rule)), 10, 1);
    MemoryStore store = new MemoryStore();
    Timeline timeline = ArrayTimeline.open(store, ExampleRules.TRACKS);
    Profiles profiles = Profiles.open(store);
    List<Event> events = new ArrayList<>();
    for (int hour : TIMES) {
      events.add(new Event.Builder().times(hour * HOUR, hour * HOUR).text(Field.TRANSACTION_ID, "t" + hour).build());
    }
    List<Transition> raised = new ArrayList<>();
    decisions.decide(new Touch(timeline, profiles, events, List.of(), Long.MIN_VALUE), raised::add);
    assertEquals(TIMES.length, raised.size());
    List<String> gone = new ArrayList<>();
    List<ProfileArrival> late = List.of(new ProfileArrival(0, WATERMARK, ExampleRules.profile(3, 7)));
    decisions.decide(new Touch(timeline, profiles, List.of(), late, WATERMARK - HORIZON), change -> {
      if (change.status() == Transition.Status.RETRACTED) {
        gone.add(change.event().id());
      }
    });
    return gone;
  }
}
