package cardwatch.engine.timeline;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import java.util.Random;
import java.util.UUID;

/** Transactions of one busy merchant, for benchmarks. */
public final class BenchmarkEvents {
  private BenchmarkEvents() {}

  /** A transaction at a time, microseconds, with what else it has drawn: of 200,000 cards, 2,000,000 devices. */
  public static Event draw(Random random, long time) {
    int card = random.nextInt(200_000);
    return new Event.Builder()
        .times(time, time + random.nextInt(3_000_000))
        .text(Field.TRANSACTION_ID, new UUID(random.nextLong(), random.nextLong()).toString())
        .text(Field.CARD_TOKEN, "tok_%016x".formatted(card * 0x9E3779B97F4A7C15L))
        .text(Field.CARD_BIN, "" + (400_000 + card % 200))
        .text(Field.CARD_LAST_FOUR, "" + (1000 + card % 9000))
        .text(Field.MERCHANT_ID, "merchant-4711")
        .text(Field.MERCHANT_CATEGORY_CODE, "5411")
        .text(Field.MERCHANT_CATEGORY_GROUP, "groceries")
        .text(Field.COUNTRY, "C" + random.nextInt(30))
        .text(Field.BIN_COUNTRY, "C" + card % 30)
        .text(Field.CHANNEL, random.nextBoolean() ? "pos" : "ecom")
        .text(Field.TRANSACTION_TYPE, "purchase")
        .text(Field.STATUS, random.nextInt(10) == 0 ? "declined" : "approved")
        .text(Field.CURRENCY, "EUR")
        .text(Field.DEVICE_ID, "device-" + (random.nextBoolean() ? random.nextInt(2_000_000) : random.nextInt(1_000)))
        .text(Field.IP_ADDRESS, "203.0." + random.nextInt(256) + "." + random.nextInt(256))
        .integer(Field.AMOUNT_MINOR, random.nextInt(100_000))
        .integer(Field.BASE_AMOUNT_MINOR, random.nextInt(100_000))
        .integer(Field.HOUR_OF_DAY, time / 3_600_000_000L % 24)
        .integer(Field.DAY_OF_WEEK, time / 86_400_000_000L % 7 + 1)
        .number(Field.LATITUDE, random.nextInt(90_000_000) / 1e6)
        .number(Field.LONGITUDE, random.nextInt(180_000_000) / 1e6)
        .build();
  }
}
