package cardwatch.engine.timeline;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.event.Row;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Predicate;

/** Random arrivals of one key: mostly in order, some a little late, some very late, ties, duplicates that differ. */
public final class RandomEvents {
  /** Masks and tracks of all kinds. */
  public static final TrackSet TRACKS = new TrackSet(
      List.of(mask(11, row -> true), mask(12, row -> "pos".equals(row.text(Field.CHANNEL))),
          mask(13, row -> !row.isNull(Field.AMOUNT_MINOR)), mask(14, row -> !row.isNull(Field.LATITUDE)),
          mask(15, row -> !row.isNull(Field.COUNTRY) && !row.isNull(Field.AMOUNT_MINOR)),
          mask(16, row -> !row.isNull(Field.MERCHANT_ID)), mask(17, row -> !row.isNull(Field.HOUR_OF_DAY)),
          mask(18, row -> row.text(Field.TRANSACTION_ID).startsWith("rare"))),
      List.of(new Track(Track.Kind.SUM, 2, Field.AMOUNT_MINOR), new Track(Track.Kind.SQUARES, 2, Field.AMOUNT_MINOR),
          new Track(Track.Kind.EXTREMES, 2, Field.AMOUNT_MINOR), new Track(Track.Kind.EXTREMES, 3, Field.LATITUDE),
          new Track(Track.Kind.DISTINCT, 4, Field.COUNTRY), new Track(Track.Kind.DISTINCT, 5, Field.MERCHANT_ID),
          new Track(Track.Kind.DISTINCT, 6, Field.HOUR_OF_DAY), new Track(Track.Kind.DISTINCT, 3, Field.LATITUDE)));

  private final Random random;
  private final List<String> ids = new ArrayList<>();
  private long now = 1_000_000;

  public RandomEvents(Random random) {
    this.random = random;
  }

  /** The time of the latest event in order. */
  public long now() {
    return now;
  }

  /** A mask of a condition. */
  public static Mask mask(long fingerprint, Predicate<Row> condition) {
    return new Mask() {
      @Override
      public boolean includes(Row event) {
        return condition.test(event);
      }

      @Override
      public long fingerprint() {
        return fingerprint;
      }
    };
  }

  /** The next arrival; times advance by 0 or 1 mostly, so that many are equal. */
  public Event next() {
    int kind = random.nextInt(40);
    if (kind < 2 && !ids.isEmpty()) {
      return event(ids.get(ids.size() - 1 - random.nextInt(Math.min(ids.size(), 300))), now - random.nextInt(60));
    }
    now += random.nextInt(3) == 0 ? random.nextInt(6) : random.nextInt(2);
    long late = kind < 12 ? random.nextInt(20) : kind == 12 ? random.nextInt(2000) : 0;
    String id = (random.nextInt(100) == 0 ? "rare" : "t") + random.nextInt(1_000_000_000);
    ids.add(id);
    return event(id, now - late);
  }

  /** A new transaction, later than all others. */
  public Event nextInOrder() {
    now++;
    return event("u" + now, now);
  }

  private Event event(String id, long time) {
    Event.Builder builder = new Event.Builder()
                                .times(time, time + random.nextInt(3))
                                .text(Field.TRANSACTION_ID, id)
                                .text(Field.CHANNEL, random.nextBoolean() ? "pos" : "ecom");
    if (random.nextInt(4) > 0) {
      builder.integer(Field.AMOUNT_MINOR, random.nextInt(8) == 0 ? random.nextLong() : random.nextInt(1000));
    }
    if (random.nextInt(4) > 0) {
      builder.number(Field.LATITUDE, random.nextInt(50) == 0 ? -0.0 : random.nextInt(18000) / 100.0 - 90);
    }
    if (random.nextInt(4) > 0) {
      builder.text(Field.COUNTRY, List.of("DE", "FR", "US", "a country with a long name").get(random.nextInt(4)));
    }
    if (random.nextInt(10) > 0) {
      builder.text(Field.MERCHANT_ID, "merchant-with-a-long-id-" + random.nextInt(random.nextBoolean() ? 20 : 100_000));
    }
    return random.nextInt(4) > 0 ? builder.integer(Field.HOUR_OF_DAY, random.nextInt(24)).build() : builder.build();
  }
}
