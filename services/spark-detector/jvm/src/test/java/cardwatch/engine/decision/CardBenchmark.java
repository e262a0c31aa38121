package cardwatch.engine.decision;

import static cardwatch.engine.decision.ExampleRules.HOUR;

import cardwatch.engine.decision.ExampleRules.Example;
import cardwatch.engine.decision.ExampleRules.Kind;
import cardwatch.engine.decision.ExampleRules.Wanted;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.ArrayTimeline;
import cardwatch.engine.timeline.MemoryStore;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.UUID;

/**
 * What a transaction of an ordinary card costs: open the key, evict, insert one, decide five rules, save. Prints
 * microseconds of processor time per touch (the best of many rounds) and bytes per event by the number of events that
 * the card has.
 */
final class CardBenchmark {
  private static final int KEYS = 500;
  private static final int ROUNDS = 200;

  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private CardBenchmark() {}

  /** Run it. */
  public static void main(String[] arguments) {
    for (int size : new int[] {1, 10, 10, 30, 60}) {
      new CardBenchmark().run(size);
    }
  }

  private final Random chance = new Random(1);
  private final List<String> merchants = new ArrayList<>();
  private long published;

  private void run(int size) {
    for (int at = 0; at < 5000; at++) {
      merchants.add("merchant-" + at);
    }
    Decisions decisions = new Decisions(new ExampleRules(rules(size)), 500, 1);
    List<MemoryStore> stores = new ArrayList<>();
    for (int key = 0; key < KEYS; key++) {
      stores.add(new MemoryStore());
    }
    long[] parts = {Long.MAX_VALUE, Long.MAX_VALUE, Long.MAX_VALUE};
    for (int round = 0; round < ROUNDS + size; round++) {
      List<Event> events = new ArrayList<>();
      for (int key = 0; key < KEYS; key++) {
        events.add(event(key, round * HOUR));
      }
      long[] spent = new long[3];
      List<Touch> touches = new ArrayList<>();
      long began = THREADS.getCurrentThreadCpuTime();
      for (int key = 0; key < KEYS; key++) {
        ArrayTimeline timeline = ArrayTimeline.open(stores.get(key), ExampleRules.TRACKS);
        Profiles profiles = Profiles.open(stores.get(key));
        touches.add(new Touch(timeline, profiles, List.of(events.get(key)), List.of(), (round - size) * HOUR));
      }
      long opened = THREADS.getCurrentThreadCpuTime();
      touches.forEach(touch -> decisions.decide(touch, transition -> published++));
      long decided = THREADS.getCurrentThreadCpuTime();
      for (Touch touch : touches) {
        touch.timeline().save();
        touch.profiles().save();
      }
      spent[0] = opened - began;
      spent[1] = decided - opened;
      spent[2] = THREADS.getCurrentThreadCpuTime() - decided;
      for (int part = 0; part < 3 && round >= size + ROUNDS / 2; part++) {
        parts[part] = Math.min(parts[part], spent[part]);
      }
    }
    long all = parts[0] + parts[1] + parts[2];
    System.out.printf("%3d events: %6.2f us (open %.2f, decide %.2f, save %.2f), %d bytes per event, %d published%n",
        size, all / 1e3 / KEYS, parts[0] / 1e3 / KEYS, parts[1] / 1e3 / KEYS, parts[2] / 1e3 / KEYS,
        stores.get(0).head().length / size, published);
  }

  private static List<Example> rules(int size) {
    return List.of(rule("a", Kind.COUNT, size * HOUR / 2), rule("b", Kind.COUNT, size * HOUR),
        rule("c", Kind.SUM_AT_TERMINALS, size * HOUR), rule("d", Kind.COUNTRIES, size * HOUR),
        rule("e", Kind.PREVIOUS_AMOUNT, size * HOUR));
  }

  private static Example rule(String id, Kind kind, long window) {
    return ExampleRules.example(id, HOUR, false, 0, List.of(new Wanted(kind, window)),
        (event, values, profile) -> values.get(0) != null && (long) values.get(0) > 100_000_000);
  }

  private Event event(int key, long time) {
    return new Event.Builder()
        .times(time + chance.nextInt(1_000_000), time + 2_000_000)
        .text(Field.TRANSACTION_ID, new UUID(chance.nextLong(), chance.nextLong()).toString())
        .text(Field.CARD_TOKEN, "%032x".formatted(key))
        .text(Field.CARD_BIN, "400000")
        .text(Field.CARD_LAST_FOUR, "1234")
        .text(Field.MERCHANT_ID, merchants.get(chance.nextInt(5000)))
        .text(Field.MERCHANT_CATEGORY_CODE, List.of("5411", "5812", "5999").get(chance.nextInt(3)))
        .text(Field.MERCHANT_CATEGORY_GROUP, List.of("food", "other").get(chance.nextInt(2)))
        .text(Field.COUNTRY, List.of("DE", "FR", "US").get(chance.nextInt(3)))
        .text(Field.BIN_COUNTRY, "DE")
        .text(Field.CHANNEL, chance.nextBoolean() ? "pos" : "ecom")
        .text(Field.TRANSACTION_TYPE, "purchase")
        .text(Field.STATUS, "approved")
        .text(Field.CURRENCY, "EUR")
        .text(Field.DEVICE_ID, chance.nextBoolean() ? null : "device-" + key)
        .integer(Field.AMOUNT_MINOR, chance.nextInt(20_000))
        .integer(Field.BASE_AMOUNT_MINOR, chance.nextInt(20_000))
        .integer(Field.HOUR_OF_DAY, 12)
        .integer(Field.DAY_OF_WEEK, 3)
        .number(Field.LATITUDE, 48 + chance.nextInt(1_000_000) / 1e6)
        .number(Field.LONGITUDE, 11 + chance.nextInt(1_000_000) / 1e6)
        .build();
  }
}
