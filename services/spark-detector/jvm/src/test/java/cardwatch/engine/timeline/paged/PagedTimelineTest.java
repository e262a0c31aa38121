package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.RandomExamples;
import cardwatch.engine.event.Event;
import cardwatch.engine.timeline.CountingStore;
import cardwatch.engine.timeline.ListTimeline;
import cardwatch.engine.timeline.MemoryStore;
import cardwatch.engine.timeline.RandomEvents;
import cardwatch.engine.timeline.Timeline;
import cardwatch.engine.timeline.TimelineComparison;
import cardwatch.engine.timeline.TrackSet;
import java.util.Random;
import org.junit.jupiter.api.Test;

class PagedTimelineTest {
  private static final long[] RULES = {71, 72};
  private static final TrackSet ALL = RandomEvents.TRACKS;
  private static final TrackSet FEW = new TrackSet(ALL.masks().subList(0, 6), ALL.tracks().subList(0, 5));

  @Test
  void smallLeavesAndPagesEqualAList() {
    for (int seed = 0; seed < RandomExamples.of(40); seed++) {
      new History(seed, 4, 4).run(300, 20, 3);
    }
  }

  @Test
  void smallLeavesInLargePagesEqualAList() {
    for (int seed = 0; seed < 5; seed++) {
      new History(seed, 3, 64).run(800, 100, 5);
    }
  }

  @Test
  void normalLeavesEqualAList() {
    for (int seed = 0; seed < 5; seed++) {
      new History(seed, 64, 5).run(3000, 300, 5);
    }
  }

  @Test
  void twentyThousandEventsEqualAList() {
    new History(1, 64, 64).run(20_000, 5_000, 10);
  }

  @Test
  void anEmptyTimelineLeavesNothing() {
    for (int seed = 0; seed < RandomExamples.of(15); seed++) {
      History history = new History(seed, 4, 4);
      history.run(200, 50, 3);
      history.actual.save();
      history.actual = PagedTimeline.open(history.store, FEW, 4, 4);
      history.actual.evictUntil(Long.MAX_VALUE);
      history.actual.save();
      assertNull(history.store.head());
      assertEquals(0, history.store.blocks());
    }
  }

  /**
   * The leaf (three blocks), the page (two), the id; for each of four columns of distinct values the value, the page of
   * its previous occurrence and its bits there, and those of the last page.
   */
  @Test
  void anAppendReadsAFewBlocksHoweverManyEventsThereAre() {
    CountingStore store = new CountingStore();
    RandomEvents events = new RandomEvents(new Random(1));
    PagedTimeline timeline = PagedTimeline.open(store, ALL);
    for (int arrival = 0; arrival < 20_000; arrival++) {
      timeline.insert(events.next());
    }
    timeline.save();
    for (int touch = 0; touch < 200; touch++) {
      store.reset();
      timeline = PagedTimeline.open(store, ALL);
      timeline.insert(events.nextInOrder());
      timeline.save();
      assertTrue(store.reads() <= 3 + 2 + 1 + 4 * 4, store.reads() + " blocks were read");
      assertTrue(store.written() < 20_000, store.written() + " bytes were written");
    }
  }

  @Test
  void aLaterLayoutIsRefused() {
    MemoryStore store = new MemoryStore();
    store.head(new byte[] {99});
    assertThrows(IllegalStateException.class, () -> PagedTimeline.open(store, ALL));
  }

  /** One random history in a paged timeline and in a list. */
  private static final class History {
    private final Random random;
    private final RandomEvents events;
    private final MemoryStore store = new MemoryStore();
    private final ListTimeline expected = new ListTimeline(ALL);
    private final int leafCapacity;
    private final int pageCapacity;
    private PagedTimeline actual;
    private TrackSet tracks = ALL;

    History(int seed, int leafCapacity, int pageCapacity) {
      this.random = new Random(seed);
      this.events = new RandomEvents(random);
      this.leafCapacity = leafCapacity;
      this.pageCapacity = pageCapacity;
      open(random.nextBoolean() ? ALL : FEW);
    }

    void run(int arrivals, int interval, int ranges) {
      for (int arrival = 1; arrival <= arrivals; arrival++) {
        Event event = events.next();
        assertEquals(expected.insert(event), actual.insert(event));
        setHits();
        if (random.nextInt(interval) == 0) {
          change(interval);
          new TimelineComparison(expected, actual, tracks, random).compareRanges(ranges, RULES);
        }
        if (random.nextInt(interval * 2) == 0 || arrival == arrivals) {
          new TimelineComparison(expected, actual, tracks, random).compareAll(ranges, RULES);
        }
      }
    }

    private void change(int interval) {
      switch (random.nextInt(6)) {
        case 0 -> evict(events.now() - random.nextInt(20 * interval));
        case 1 -> {
          actual.save();
          open(random.nextInt(3) == 0 ? FEW : ALL);
        }
        case 2 -> actual.save();
        case 3 -> {
          actual.save();
          open(tracks);
        }
        default -> {
          // go on with what is in memory
        }
      }
      if (random.nextInt(30) == 0) {
        expected.retainHits(new long[] {RULES[1]});
        actual.retainHits(new long[] {RULES[1]});
      }
    }

    private void evict(long time) {
      expected.evictUntil(time);
      actual.evictUntil(time);
    }

    private void open(TrackSet program) {
      tracks = program;
      expected.tracks(program);
      actual = PagedTimeline.open(store, program, leafCapacity, pageCapacity);
    }

    private void setHits() {
      int size = expected.size();
      int at = size - 1 - random.nextInt(Math.min(size, 1 << random.nextInt(12)));
      long rule = RULES[random.nextInt(2)];
      boolean hit = random.nextBoolean();
      for (Timeline each : new Timeline[] {expected, actual}) {
        each.hits(rule).set(at, hit);
        each.hits(rule).knownFrom(at);
      }
    }
  }
}
