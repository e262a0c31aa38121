package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.CountingStore;
import cardwatch.engine.timeline.Insertion;
import cardwatch.engine.timeline.RandomEvents;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class EvictorTest {
  private final CountingStore store = new CountingStore();

  /** 640 events at 1 to 640: ten leaves. */
  EvictorTest() {
    PagedTimeline timeline = open();
    for (int time = 1; time <= 640; time++) {
      timeline.insert(event("t" + time, time));
    }
    timeline.save();
  }

  @Test
  void evictingAPartOfALeafWritesTheHeadOnly() {
    PagedTimeline timeline = open();
    store.reset();
    timeline.evictUntil(30);
    timeline.save();
    assertEquals(store.head().length, store.written());
    assertEquals(610, open().size());
    assertEquals(31, open().time(0));
    assertEquals(-1, open().find("t30"));
    assertEquals(0, open().find("t31"));
  }

  @Test
  void anEarlierTimeBringsNoHiddenEventBack() {
    PagedTimeline timeline = open();
    timeline.evictUntil(30);
    timeline.evictUntil(20);
    assertEquals(610, timeline.size());
    assertEquals(31, timeline.time(0));
    timeline.save();
    assertEquals(610, open().size());
  }

  @Test
  void whatIsHiddenIsForgottenBeforeAnotherEventComesAmongIt() {
    PagedTimeline timeline = open();
    timeline.evictUntil(30);
    timeline.insert(event("late", 20));
    timeline.save();
    for (int time = 1; time <= 30; time++) {
      assertEquals(-1, open().find("t" + time));
    }
    timeline = open();
    timeline.evictUntil(640);
    timeline.save();
    assertNull(store.head(), "no event is left");
    assertEquals(0, store.size(), "and no entry of one");
  }

  @Test
  void differentValuesAreThoseOfEventsThatAreNotHidden() {
    PagedTimeline timeline = open();
    int track = 5; // different merchants
    timeline.distinct(track);
    timeline.evictUntil(30);
    for (int from : new int[] {0, 1, 10, 40, 600}) {
      Set<String> merchants = new HashSet<>();
      for (int at = from; at < timeline.size(); at++) {
        merchants.add(timeline.event(at).text(Field.MERCHANT_ID));
      }
      assertEquals(merchants.size(), timeline.distinct(track).count(from, timeline.size()));
    }
  }

  @Test
  void anEvictedTransactionCanComeAgain() {
    PagedTimeline timeline = open();
    timeline.evictUntil(30);
    assertEquals(Insertion.Outcome.ADDED, timeline.insert(event("t7", 7)).outcome());
    assertEquals(Insertion.Outcome.KEPT, timeline.insert(event("t7", 7)).outcome());
    timeline.save();
    assertEquals(611, open().size());
    assertEquals(0, open().find("t7"));
    assertEquals(-1, open().find("t8"));
  }

  @Test
  void evictedLeavesLeaveLessThanASixth() {
    long before = store.size();
    PagedTimeline timeline = open();
    timeline.evictUntil(600);
    timeline.save();
    assertTrue(store.size() * 6 < before, store.size() + " of " + before + " bytes are left");
    assertEquals(40, open().size());
  }

  private PagedTimeline open() {
    return PagedTimeline.open(store, RandomEvents.TRACKS);
  }

  private static Event event(String id, long time) {
    return new Event.Builder()
        .times(time, time)
        .text(Field.TRANSACTION_ID, id)
        .text(Field.MERCHANT_ID, "merchant " + new Random(time).nextInt(100))
        .integer(Field.AMOUNT_MINOR, time)
        .build();
  }
}
