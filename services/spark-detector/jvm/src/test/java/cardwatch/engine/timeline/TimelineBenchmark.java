package cardwatch.engine.timeline;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.event.Row;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Predicate;

/**
 * Microseconds of processor time per arrival of a key with many events, by the number of events in the window and of
 * arrivals per touch. A touch opens the key, evicts, inserts, asks for all masks and tracks of the window of each
 * arrival from the last one back, and saves.
 *
 * <p>Arguments: events in the window, separated by commas; then arrivals per touch; then how many later events an
 * arrival may have (0: in order). Without arguments: 1000,10000,100000,1000000 1,10,100,1000 0,50.
 */
public final class TimelineBenchmark {
  private static final long STEP_MICROS = 1_000;
  private static final TrackSet TRACKS = new TrackSet(
      List.of(mask(1, row -> true), mask(2, row -> "pos".equals(row.text(Field.CHANNEL))),
          mask(3, row -> !row.isNull(Field.AMOUNT_MINOR)), mask(4, row -> "declined".equals(row.text(Field.STATUS)))),
      List.of(new Track(Track.Kind.SUM, 2, Field.AMOUNT_MINOR), new Track(Track.Kind.SQUARES, 2, Field.AMOUNT_MINOR),
          new Track(Track.Kind.EXTREMES, 2, Field.AMOUNT_MINOR), new Track(Track.Kind.DISTINCT, 0, Field.CARD_TOKEN),
          new Track(Track.Kind.DISTINCT, 0, Field.DEVICE_ID), new Track(Track.Kind.DISTINCT, 1, Field.COUNTRY)));

  private static final ThreadMXBean CPU = ManagementFactory.getThreadMXBean();

  private final Random random = new Random(1);
  private final CountingStore store = new CountingStore();
  private final long window;
  private final int disorder;
  private long now = 1_790_000_000_000_000L;
  private long checksum;
  private long cpuNanos;

  private TimelineBenchmark(int events, int disorder) {
    this.window = events * STEP_MICROS;
    this.disorder = disorder;
  }

  /** Runs it and prints a table. */
  public static void main(String[] arguments) {
    String[] given =
        arguments.length == 3 ? arguments : new String[] {"1000,10000,100000,1000000", "1,10,100,1000", "0,50"};
    System.out.println(
        "events  disorder  arrivals/touch  us/arrival  reads/arrival  bytes written/arrival  bytes/event");
    new TimelineBenchmark(1000, 50).measure(1000, new int[] {100, 1});
    for (String disorder : given[2].split(",")) {
      for (String events : given[0].split(",")) {
        int[] touches = List.of(given[1].split(",")).stream().mapToInt(Integer::parseInt).toArray();
        new TimelineBenchmark(Integer.parseInt(events), Integer.parseInt(disorder))
            .measure(Integer.parseInt(events), touches);
      }
    }
  }

  private void measure(int events, int[] touches) {
    for (int filled = 0; filled < events; filled += 1000) {
      touch(1000, false);
    }
    for (int arrivals : touches) {
      int rounds = Math.max(20, Math.min(2_000, 20_000 / arrivals));
      for (int round = 0; round < rounds / 4; round++) {
        touch(arrivals, true);
      }
      store.reset();
      cpuNanos = 0;
      for (int round = 0; round < rounds; round++) {
        touch(arrivals, true);
      }
      double count = (double) rounds * arrivals;
      System.out.printf("%7d  %8d  %14d  %10.1f  %13.1f  %21.0f  %11d%n", events, disorder, arrivals,
          cpuNanos / 1e3 / count, store.reads() / count, store.written() / count, store.size() / events);
    }
    if (checksum == 0) {
      throw new IllegalStateException("nothing was counted");
    }
  }

  private void touch(int arrivals, boolean evaluates) {
    long until = now - window;
    List<Event> events = new ArrayList<>(arrivals);
    for (int left = arrivals; left > 0; left--) {
      now += STEP_MICROS;
      events.add(BenchmarkEvents.draw(random, now - (disorder == 0 ? 0 : random.nextInt(disorder) * STEP_MICROS)));
    }
    long begin = CPU.getCurrentThreadCpuTime();
    Timeline timeline = Timelines.open(store, TRACKS);
    timeline.evictUntil(until);
    events.forEach(timeline::insert);
    if (evaluates) {
      evaluate(timeline, arrivals);
    }
    timeline.save();
    cpuNanos += CPU.getCurrentThreadCpuTime() - begin;
  }

  /** As many events as have arrived, from the last one back. */
  private void evaluate(Timeline timeline, int arrivals) {
    DistinctCounts[] distinct = {timeline.distinct(3), timeline.distinct(4), timeline.distinct(5)};
    for (int at = timeline.size() - 1; at >= timeline.size() - arrivals; at--) {
      int from = timeline.firstAfter(timeline.time(at) - window);
      int to = at + 1;
      for (int mask = 0; mask < TRACKS.masks().size(); mask++) {
        checksum += timeline.count(mask, from, to);
      }
      checksum += timeline.sum(0, from, to) + (long) timeline.spread(1, from, to);
      checksum += timeline.minInteger(2, from, to) + timeline.maxInteger(2, from, to);
      for (DistinctCounts counts : distinct) {
        checksum += counts.count(from, to);
      }
      checksum += timeline.event(at).id().length();
    }
  }

  private static Mask mask(long fingerprint, Predicate<Row> condition) {
    return RandomEvents.mask(fingerprint, condition);
  }
}
