package cardwatch.engine.timeline;

import static cardwatch.engine.timeline.RandomEvents.mask;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.RandomExamples;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ArrayTimelineTest {
  private static final long RULE = 77;
  private static final TrackSet TRACKS = new TrackSet(
      List.of(mask(1, row -> true), mask(2, row -> "pos".equals(row.text(Field.CHANNEL))),
          mask(3, row -> !row.isNull(Field.AMOUNT_MINOR)), mask(4, row -> !row.isNull(Field.LATITUDE)),
          mask(5, row -> row.text(Field.COUNTRY) != null)),
      List.of(new Track(Track.Kind.SUM, 2, Field.AMOUNT_MINOR), new Track(Track.Kind.SQUARES, 2, Field.AMOUNT_MINOR),
          new Track(Track.Kind.EXTREMES, 2, Field.AMOUNT_MINOR), new Track(Track.Kind.EXTREMES, 3, Field.LATITUDE),
          new Track(Track.Kind.DISTINCT, 4, Field.COUNTRY)));

  @Test
  void randomHistoriesEqualASortedList() {
    for (int seed = 0; seed < RandomExamples.of(300); seed++) {
      new History(new Random(seed)).run(60);
    }
  }

  @Test
  void manyDifferentTextsEqualASortedList() {
    for (int seed = 0; seed < RandomExamples.of(10); seed++) {
      History history = new History(new Random(seed));
      history.growing = true;
      history.run(700);
      assertTrue(history.timeline.size() > 256);
    }
  }

  @Test
  void textsThatAreNotUsedAnyMoreGo() {
    MemoryStore store = new MemoryStore();
    for (int time = 0; time < 2000; time++) {
      ArrayTimeline timeline = ArrayTimeline.open(store, TRACKS);
      timeline.evictUntil(time - 10);
      timeline.insert(new Event.Builder()
              .times(time, time)
              .text(Field.TRANSACTION_ID, "t" + time)
              .text(Field.MERCHANT_ID, "a merchant with a long name, the " + time + "th")
              .build());
      timeline.save();
    }
    assertTrue(store.head().length < 3000, "it has " + store.head().length + " bytes");
  }

  @Test
  void valuesWhoseSquaresDoNotFit64BitsHaveAnExactSpread() {
    ArrayTimeline timeline = ArrayTimeline.open(new MemoryStore(), TRACKS);
    timeline.insert(event("a", 1, Long.MAX_VALUE));
    timeline.insert(event("b", 2, Long.MIN_VALUE));
    BigInteger difference = BigInteger.valueOf(Long.MAX_VALUE).subtract(BigInteger.valueOf(Long.MIN_VALUE));
    assertEquals(difference.pow(2).doubleValue(), timeline.spread(1, 0, 2));
  }

  @Test
  void anEmptyTimelineLeavesNothing() {
    MemoryStore store = new MemoryStore();
    ArrayTimeline timeline = ArrayTimeline.open(store, TRACKS);
    timeline.insert(event("a", 1, 1));
    timeline.save();
    ArrayTimeline again = ArrayTimeline.open(store, TRACKS);
    again.evictUntil(1);
    again.save();
    assertNull(store.head());
  }

  @Test
  void aLaterLayoutIsRefused() {
    MemoryStore store = new MemoryStore();
    store.head(new byte[] {99});
    assertThrows(IllegalStateException.class, () -> ArrayTimeline.open(store, TRACKS));
  }

  private static Event event(String id, long time, long amount) {
    return new Event.Builder()
        .times(time, time)
        .text(Field.TRANSACTION_ID, id)
        .integer(Field.AMOUNT_MINOR, amount)
        .build();
  }

  /** One random history, and what it should be: a sorted list, and the ids of the events that hit. */
  private static final class History {
    private final Random chance;
    private final MemoryStore store = new MemoryStore();
    private final TreeSet<Event> expected = new TreeSet<>();
    private final Set<String> hits = new HashSet<>();
    private ArrayTimeline timeline;
    private long now = 1000;
    private boolean growing;

    History(Random chance) {
      this.chance = chance;
    }

    void run(int steps) {
      timeline = ArrayTimeline.open(store, TRACKS);
      for (int step = 0; step < steps; step++) {
        step();
        if (!growing || step % 16 == 0) {
          check();
        }
      }
    }

    private void step() {
      switch (chance.nextInt(8)) {
        case 0 -> reopen();
        case 1 -> evict(now - (growing ? 5000 : chance.nextInt(120)));
        case 2 -> hit();
        default -> insert();
      }
    }

    private void reopen() {
      timeline.save();
      boolean fewer = chance.nextBoolean();
      ArrayTimeline.open(store, fewer ? new TrackSet(TRACKS.masks().subList(0, 2), List.of()) : TRACKS).save();
      timeline = ArrayTimeline.open(store, TRACKS);
    }

    private void evict(long until) {
      timeline.evictUntil(until);
      expected.removeIf(event -> event.eventTime() <= until);
    }

    private void hit() {
      if (!expected.isEmpty()) {
        int at = chance.nextInt(timeline.size());
        boolean hit = chance.nextBoolean();
        timeline.hits(RULE).set(at, hit);
        timeline.hits(RULE).knownFrom(at);
        hits.remove(timeline.id(at));
        if (hit) {
          hits.add(timeline.id(at));
        }
      }
    }

    private void insert() {
      now += chance.nextInt(4);
      Event event = random(now - (chance.nextInt(4) == 0 ? chance.nextInt(60) : 0));
      Event present = expected.stream().filter(one -> one.id().equals(event.id())).findFirst().orElse(null);
      assertEquals(present == null ? -1 : List.copyOf(expected).indexOf(present), timeline.find(event.id()));
      Insertion insertion = timeline.insert(event);
      if (present != null && present.compareContent(event) <= 0) {
        assertEquals(new Insertion(Insertion.Outcome.KEPT, null), insertion);
        return;
      }
      if (present != null) {
        expected.remove(present);
      }
      hits.remove(event.id());
      expected.add(event);
      assertEquals(
          new Insertion(present == null ? Insertion.Outcome.ADDED : Insertion.Outcome.REPLACED, present), insertion);
    }

    private Event random(long time) {
      Event.Builder builder =
          new Event.Builder()
              .times(time, time + chance.nextInt(3))
              .text(Field.TRANSACTION_ID, "t" + chance.nextInt(growing ? 2000 : 200))
              .text(Field.CHANNEL, chance.nextBoolean() ? "pos" : "ecom")
              .text(Field.COUNTRY, List.of("DE", "FR", "Ω\uD83D\uDE00").get(chance.nextInt(3)))
              .text(Field.MERCHANT_ID, chance.nextBoolean() ? null : "m" + chance.nextInt(100_000))
              .text(Field.CARD_TOKEN, "0123456789abcdef".substring(chance.nextInt(3)))
              .number(Field.LONGITUDE, chance.nextBoolean() ? chance.nextInt(1000) / 100.0 : chance.nextGaussian());
      if (chance.nextInt(4) > 0) {
        builder.integer(Field.AMOUNT_MINOR, chance.nextInt(8) == 0 ? chance.nextLong() : chance.nextInt(1000));
      }
      if (chance.nextInt(4) > 0) {
        builder.number(Field.LATITUDE, chance.nextInt(180) - 90);
      }
      return chance.nextInt(4) == 0 ? builder.text(Field.COUNTRY, null).build() : builder.build();
    }

    private void check() {
      List<Event> all = List.copyOf(expected);
      assertEquals(all, IntStream.range(0, timeline.size()).mapToObj(timeline::event).toList());
      long time = now - chance.nextInt(100);
      int from = timeline.firstAfter(time - chance.nextInt(50));
      int to = timeline.firstAfter(time);
      assertEquals(all.stream().filter(event -> event.eventTime() <= time).count(), to);
      checkHits(all, from, to);
      for (int mask = 0; mask < TRACKS.masks().size(); mask++) {
        List<Integer> in = included(all, mask, from, to);
        assertEquals(in.size(), timeline.count(mask, from, to));
        assertEquals(in.isEmpty() ? -1 : in.get(0), timeline.firstIncluded(mask, from, to));
        assertEquals(in.isEmpty() ? -1 : in.get(in.size() - 1), timeline.lastIncluded(mask, from, to));
      }
      checkTracks(all, from, to);
    }

    private void checkHits(List<Event> all, int from, int to) {
      List<Integer> in = IntStream.range(from, to).filter(at -> hits.contains(all.get(at).id())).boxed().toList();
      assertEquals(in.isEmpty() ? -1 : in.get(0), timeline.hits(RULE).first(from, to));
      assertEquals(in.isEmpty() ? -1 : in.get(in.size() - 1), timeline.hits(RULE).last(from, to));
    }

    private void checkTracks(List<Event> all, int from, int to) {
      List<Long> amounts =
          included(all, 2, from, to).stream().map(at -> all.get(at).integer(Field.AMOUNT_MINOR)).toList();
      assertEquals(amounts.stream().mapToLong(Long::longValue).sum(), timeline.sum(0, from, to));
      assertEquals(spread(amounts), timeline.spread(1, from, to));
      List<Double> places = included(all, 3, from, to).stream().map(at -> all.get(at).number(Field.LATITUDE)).toList();
      if (!amounts.isEmpty()) {
        assertEquals(amounts.stream().min(Comparator.naturalOrder()).get(), timeline.minInteger(2, from, to));
        assertEquals(amounts.stream().max(Comparator.naturalOrder()).get(), timeline.maxInteger(2, from, to));
      }
      if (!places.isEmpty()) {
        assertEquals(places.stream().min(Comparator.naturalOrder()).get(), timeline.minNumber(3, from, to));
        assertEquals(places.stream().max(Comparator.naturalOrder()).get(), timeline.maxNumber(3, from, to));
      }
      long countries = all.subList(from, to)
                           .stream()
                           .map(event -> event.text(Field.COUNTRY))
                           .filter(Objects::nonNull)
                           .distinct()
                           .count();
      assertEquals(countries, timeline.distinct(4).count(from, to));
    }

    private static List<Integer> included(List<Event> all, int mask, int from, int to) {
      List<Integer> found = new ArrayList<>();
      for (int at = from; at < to; at++) {
        if (TRACKS.masks().get(mask).includes(all.get(at))) {
          found.add(at);
        }
      }
      return found;
    }

    private static double spread(List<Long> values) {
      List<BigInteger> exact = values.stream().map(BigInteger::valueOf).toList();
      BigInteger sum = exact.stream().reduce(BigInteger.ZERO, BigInteger::add);
      BigInteger squares = exact.stream().map(value -> value.multiply(value)).reduce(BigInteger.ZERO, BigInteger::add);
      return BigInteger.valueOf(values.size()).multiply(squares).subtract(sum.multiply(sum)).doubleValue();
    }
  }
}
