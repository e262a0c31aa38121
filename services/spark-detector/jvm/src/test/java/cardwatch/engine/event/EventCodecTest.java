package cardwatch.engine.event;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;

class EventCodecTest {
  private static final String[] TEXTS = {"", "EUR", "ü€", "\uD83D\uDE00", "\uD800", "0123456789abcdef",
      "0123456789ABCDEF", "abc", "deadbee", "x".repeat(300), "123e4567-e89b-12d3-a456-426614174000",
      "123e4567-e89b-12d3-a456+426614174000"};
  private static final double[] NUMBERS = {0, -0.0, 48.137154, -122.419416, Double.NaN, Double.NEGATIVE_INFINITY,
      Double.MIN_VALUE, Double.MAX_VALUE, 1.0 / 3, 1e12};
  private static final long[] INTEGERS = {0, 1, -1, 12_50, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 40};

  @Test
  void any_events_come_back_as_they_were() {
    Random random = new Random(1);
    for (int round = 0; round < 300; round++) {
      List<Event> events = new ArrayList<>();
      for (int left = random.nextInt(80); left > 0; left--) {
        events.add(anyEvent(random));
      }
      List<Event> read = EventCodec.decode(EventCodec.encode(events));
      assertEquals(events.size(), read.size());
      for (int at = 0; at < events.size(); at++) {
        assertEquals(events.get(at), read.get(at));
        assertEquals(events.get(at).nullBits(), read.get(at).nullBits());
        assertTrue(Arrays.equals(events.get(at).texts(), read.get(at).texts()));
      }
    }
  }

  @Test
  void an_event_of_a_card_takes_at_most_100_bytes() {
    Random random = new Random(2);
    List<Event> events = new ArrayList<>();
    for (int at = 0; at < 64; at++) {
      events.add(cardEvent(random, at));
    }
    int bytes = EventCodec.encode(events).length;
    assertTrue(bytes <= 64 * 100, bytes + " bytes for 64 events");
  }

  @Test
  void another_layout_and_missing_bytes_are_reported() {
    byte[] bytes = EventCodec.encode(List.of(cardEvent(new Random(3), 1)));
    for (int length = 0; length < bytes.length; length++) {
      byte[] cut = Arrays.copyOf(bytes, length);
      assertThrows(IllegalStateException.class, () -> EventCodec.decode(cut));
    }
    bytes[0] = 9;
    String message = assertThrows(IllegalStateException.class, () -> EventCodec.decode(bytes)).getMessage();
    assertTrue(message.contains("layout 9"), message);
  }

  private static Event anyEvent(Random random) {
    Event.Builder builder = new Event.Builder().times(random.nextLong(), random.nextLong());
    for (int at = 0; at < Field.count(); at++) {
      Field field = Field.at(at);
      if (at > 0 && random.nextInt(3) == 0) {
        continue;
      }
      switch (field.kind()) {
        case TEXT -> builder.text(field, TEXTS[random.nextInt(TEXTS.length)]);
        case INTEGER -> builder.integer(field, INTEGERS[random.nextInt(INTEGERS.length)]);
        case DOUBLE -> builder.number(field, NUMBERS[random.nextInt(NUMBERS.length)]);
      }
    }
    return builder.build();
  }

  private static Event cardEvent(Random random, int at) {
    long time = 1_790_000_000_000_000L + at * 60_000_000L + random.nextInt(60_000_000);
    return new Event.Builder()
        .times(time, time + random.nextInt(3_000_000))
        .text(Field.TRANSACTION_ID, new UUID(random.nextLong(), random.nextLong()).toString())
        .text(Field.CARD_TOKEN, "tok_5f1d3a9b7c2e4f60")
        .text(Field.CARD_BIN, "411111")
        .text(Field.CARD_LAST_FOUR, "1111")
        .text(Field.MERCHANT_ID, "merchant-" + random.nextInt(20_000))
        .text(Field.MERCHANT_CATEGORY_CODE, "" + (5000 + random.nextInt(30)))
        .text(Field.MERCHANT_CATEGORY_GROUP, "retail" + random.nextInt(5))
        .text(Field.COUNTRY, random.nextInt(5) == 0 ? "FR" : "DE")
        .text(Field.BIN_COUNTRY, "DE")
        .text(Field.CHANNEL, random.nextBoolean() ? "online" : "pos")
        .text(Field.TRANSACTION_TYPE, "purchase")
        .text(Field.STATUS, random.nextInt(10) == 0 ? "declined" : "approved")
        .text(Field.CURRENCY, "EUR")
        .text(Field.DEVICE_ID, "device-" + random.nextInt(3))
        .text(Field.IP_ADDRESS, "203.0.113." + random.nextInt(200))
        .integer(Field.AMOUNT_MINOR, random.nextInt(100_000))
        .integer(Field.BASE_AMOUNT_MINOR, random.nextInt(100_000))
        .integer(Field.HOUR_OF_DAY, random.nextInt(24))
        .integer(Field.DAY_OF_WEEK, 1 + random.nextInt(7))
        .number(Field.LATITUDE, random.nextInt(90_000_000) / 1e6)
        .number(Field.LONGITUDE, random.nextInt(180_000_000) / 1e6)
        .build();
  }
}
