package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.MemoryStore;
import cardwatch.engine.timeline.RandomEvents;
import cardwatch.engine.timeline.Track;
import cardwatch.engine.timeline.TrackSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Leaves of 4 events and pages of 4 leaves, with one column of distinct values. */
class OccurrencesTest {
  private static final TrackSet COUNTRIES = new TrackSet(
      List.of(RandomEvents.TRACKS.masks().get(4)), List.of(new Track(Track.Kind.DISTINCT, 0, Field.COUNTRY)));

  private final Random random = new Random(1);
  private final RandomEvents events = new RandomEvents(random);
  private final Blocks blocks = new Blocks(new MemoryStore());
  private final Head head = Head.empty(blocks);
  private final Pages pages = head.pages;
  private final Editor editor = new Editor(pages, 4, 4);
  private final ValueIndex values = new ValueIndex(blocks);
  private final Occurrences occurrences = new Occurrences(pages, values, head.evictions);
  private final TreeMap<Event, Long> expected = new TreeMap<>();

  OccurrencesTest() {
    head.columns.bind(COUNTRIES, 0);
  }

  @Test
  void positionsAndNamesLeadToEvents() {
    insert(400);
    int ordinal = 0;
    for (Event event : expected.keySet()) {
      Position at = pages.at(ordinal);
      assertEquals(event, pages.leaf(at).event(at.index()));
      assertEquals(ordinal, pages.ordinal(at));
      assertEquals(at, pages.lowerBound(event.eventTime(), event.id()));
      Position found = pages.locate(pages.leaf(at).name(at.index()));
      assertEquals(new Position(at.page(), at.leaf(), -1), found);
      assertEquals(expected.keySet().stream().filter(one -> one.eventTime() <= event.eventTime()).count(),
          pages.firstAfter(event.eventTime()));
      ordinal++;
    }
    assertEquals(ordinal, pages.size());
  }

  @Test
  void anEventIsFoundAmongManyOfItsTimeInSeveralLeavesAndPages() {
    for (int at = 0; at < 100; at++) {
      long time = at < 10 ? 1 : at < 90 ? 2 : 3;
      add(new Event.Builder().times(time, 0).text(Field.TRANSACTION_ID, "t" + (1000 + at)).build());
    }
    assertTrue(pages.count() > 3, "of four leaves of four events each");
    for (int ordinal = 0; ordinal < pages.size(); ordinal++) {
      Position at = pages.at(ordinal);
      assertEquals(new Position(at.page(), at.leaf(), -1), pages.locate(pages.leaf(at).name(at.index())));
    }
  }

  @Test
  void eachOccurrenceLeadsToTheOneBeforeItAndTheLatestHasTheBit() {
    for (int round = 0; round < 20; round++) {
      insert(20);
      remove(3);
      check();
    }
  }

  @Test
  void evictedOccurrencesAreNoPreviousOnes() {
    insert(100);
    head.evictions.add(expected.lastKey().eventTime(), head.nextArrival);
    expected.clear();
    int evicted = pages.size();
    for (int left = 40; left > 0; left--) {
      add(events.nextInOrder());
    }
    Map<String, Name> latest = new HashMap<>();
    for (int at = evicted; at < pages.size(); at++) {
      checkPrevious(pages.at(at), latest);
    }
  }

  private void insert(int count) {
    for (int left = count; left > 0; left--) {
      Event event = events.next();
      if (expected.keySet().stream().noneMatch(one -> one.id().equals(event.id()))) {
        add(event);
      }
    }
  }

  private void add(Event event) {
    Position before = pages.count() == 0 ? null : pages.lowerBound(event.eventTime(), event.id());
    expected.put(event, head.nextArrival);
    Position at = editor.insert(before, event, head.nextArrival++);
    if (COUNTRIES.masks().get(0).includes(event)) {
      occurrences.add(column(), event, at);
    }
  }

  private void remove(int count) {
    for (int left = count; left > 0; left--) {
      Position at = pages.at(random.nextInt(pages.size()));
      Event event = pages.leaf(at).event(at.index());
      if (COUNTRIES.masks().get(0).includes(event)) {
        occurrences.remove(column(), event, at);
      }
      editor.remove(at);
      expected.remove(event);
    }
  }

  private void check() {
    Map<String, Name> latest = new HashMap<>();
    for (int at = 0; at < expected.size(); at++) {
      checkPrevious(pages.at(at), latest);
    }
    int bits = 0;
    for (int page = 0; page < pages.count(); page++) {
      bits += (int) column().totals[0][page];
    }
    assertEquals(latest.size(), bits);
    for (Name name : latest.values()) {
      Position at = pages.locate(name);
      assertEquals(true, Bits.get(pages.get(at.page()).values(column())[0][at.leaf()], name.slot()));
    }
  }

  private void checkPrevious(Position at, Map<String, Name> latest) {
    Event event = pages.leaf(at).event(at.index());
    Name name = pages.leaf(at).name(at.index());
    assertEquals(expected.get(event), name.arrival());
    if (COUNTRIES.masks().get(0).includes(event)) {
      assertEquals(latest.put(event.text(Field.COUNTRY), name), occurrences.previous(column(), name));
    } else {
      assertNull(occurrences.previous(column(), name));
    }
  }

  private Column column() {
    return head.columns.track(0);
  }
}
