package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.event.Event;
import cardwatch.engine.timeline.MemoryStore;
import cardwatch.engine.timeline.RandomEvents;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class LeafTest {
  private final Random random = new Random(1);
  private final RandomEvents events = new RandomEvents(random);
  private final MemoryStore store = new MemoryStore();
  private final Blocks blocks = new Blocks(store);

  @Test
  void slotsStayWhileEventsMove() {
    for (int round = 0; round < 50; round++) {
      Leaf leaf = Leaf.empty(blocks, round);
      List<Event> expected = new ArrayList<>();
      List<Name> names = new ArrayList<>();
      for (int step = 0; step < 100; step++) {
        if (expected.size() < 64 && (expected.isEmpty() || random.nextInt(4) > 0)) {
          Event event = events.next();
          int at = random.nextInt(expected.size() + 1);
          leaf.insert(at, event, step);
          expected.add(at, event);
          names.add(at, leaf.name(at));
          leaf.setLink(1, leaf.slot(at), new Name(step, step, 1));
        } else {
          int at = random.nextInt(expected.size());
          leaf.remove(at);
          expected.remove(at);
          names.remove(at);
        }
      }
      leaf.save(column -> true);
      check(expected, names, leaf);
      check(expected, names, Leaf.stored(blocks, round));
    }
  }

  private static void check(List<Event> expected, List<Name> names, Leaf leaf) {
    assertEquals(expected.size(), leaf.size());
    assertEquals(expected.size(), Long.bitCount(leaf.slots(0, leaf.size())));
    for (int at = 0; at < expected.size(); at++) {
      assertEquals(expected.get(at), leaf.event(at));
      assertEquals(names.get(at), leaf.name(at));
      assertEquals(at, leaf.find(names.get(at)));
      assertEquals(names.get(at).arrival(), leaf.links().get(1, leaf.slot(at)).time());
    }
  }

  @Test
  void splitEventsKeepTheirNamesAndLinks() {
    for (boolean stored : new boolean[] {false, true}) {
      Leaf leaf = Leaf.empty(blocks, 1);
      List<Event> expected = new ArrayList<>();
      List<Name> names = new ArrayList<>();
      for (int step = 0; step < 64; step++) {
        int at = random.nextInt(step + 1);
        expected.add(at, events.next());
        leaf.insert(at, expected.get(at), step);
        names.add(at, leaf.name(at));
        leaf.setLink(1, leaf.slot(at), new Name(step, step, 1));
      }
      leaf.save(column -> true);
      Leaf head = stored ? Leaf.stored(blocks, 1) : leaf;
      Leaf tail = Leaf.empty(blocks, 2);
      head.split(20, tail);
      check(expected.subList(0, 20), names.subList(0, 20), head);
      check(expected.subList(20, 64), names.subList(20, 64), tail);
      head.save(column -> true);
      tail.save(column -> true);
      check(expected.subList(0, 20), names.subList(0, 20), Leaf.stored(blocks, 1));
      check(expected.subList(20, 64), names.subList(20, 64), Leaf.stored(blocks, 2));
      head.removeBlocks();
      tail.removeBlocks();
      assertEquals(0, store.blocks());
    }
  }

  @Test
  void boundsAreFoundAmongTies() {
    Leaf leaf = Leaf.empty(blocks, 1);
    TreeSet<Event> sorted = new TreeSet<>();
    while (sorted.size() < 64) {
      sorted.add(events.next());
    }
    List<Event> expected = List.copyOf(sorted);
    for (int at = 0; at < 64; at++) {
      leaf.insert(at, expected.get(at), at);
    }
    assertTrue(leaf.isInOrder());
    for (Event event : expected) {
      assertEquals(expected.indexOf(event), leaf.lowerBound(event.eventTime(), event.id()));
      long notLater = expected.stream().filter(one -> one.eventTime() <= event.eventTime()).count();
      assertEquals(notLater, leaf.firstAfter(event.eventTime()));
    }
    leaf.remove(0);
    leaf.insert(0, expected.get(0), 64);
    assertFalse(leaf.isInOrder());
  }
}
