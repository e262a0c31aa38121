package cardwatch.engine.timeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.RandomExamples;
import cardwatch.engine.event.Event;
import cardwatch.engine.timeline.paged.PagedTimeline;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TimelinesTest {
  private static final long[] RULES = {5, 6};

  @Test
  void timelinesThatGrowAndShrinkEqualAList() {
    for (int seed = 0; seed < RandomExamples.of(10); seed++) {
      Random random = new Random(seed);
      RandomEvents events = new RandomEvents(random);
      MemoryStore store = new MemoryStore();
      ListTimeline expected = new ListTimeline(RandomEvents.TRACKS);
      Timeline actual = Timelines.open(store, RandomEvents.TRACKS);
      int changes = 0;
      int layout = 0;
      for (int touch = 0; touch < 60; touch++) {
        for (int left = random.nextInt(25); left > 0; left--) {
          Event event = events.next();
          assertEquals(expected.insert(event), actual.insert(event));
          int at = random.nextInt(expected.size());
          long rule = RULES[random.nextInt(2)];
          expected.hits(rule).set(at, true);
          actual.hits(rule).set(at, true);
          expected.hits(rule).knownFrom(left);
          actual.hits(rule).knownFrom(left);
        }
        if (random.nextInt(4) == 0) {
          long time = events.now() - random.nextInt(60);
          expected.evictUntil(time);
          actual.evictUntil(time);
        }
        new TimelineComparison(expected, actual, RandomEvents.TRACKS, random).compareAll(3, RULES);
        actual.save();
        new TimelineComparison(expected, actual, RandomEvents.TRACKS, random).compareAll(3, RULES);
        if (store.head() != null) {
          changes += layout != store.head()[0] ? 1 : 0;
          layout = store.head()[0];
          assertTrue(expected.size() <= 64 || layout == PagedTimeline.LAYOUT);
          assertTrue(expected.size() >= 32 || layout == ArrayTimeline.LAYOUT);
          assertTrue(layout == PagedTimeline.LAYOUT || store.blocks() == 0);
          actual = Timelines.open(store, RandomEvents.TRACKS);
        }
      }
      assertTrue(changes > 2, "it changed its layout " + changes + " times");
      actual.evictUntil(Long.MAX_VALUE);
      actual.save();
      assertNull(store.head());
      assertEquals(0, store.blocks());
    }
  }

  @Test
  void aLaterLayoutIsRefused() {
    MemoryStore store = new MemoryStore();
    store.head(new byte[] {99});
    String message =
        assertThrows(IllegalStateException.class, () -> Timelines.open(store, RandomEvents.TRACKS)).getMessage();
    assertTrue(message.contains("layout 99"), message);
  }
}
