package cardwatch.engine.event;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class EventCodecTest {
  private static final String[] TEXTS = {"", "EUR", "ü€", "\uD83D\uDE00", "\uD800", "0123456789abcdef",
      "0123456789ABCDEF", "abc", "deadbee", "x".repeat(300), "123e4567-e89b-12d3-a456-426614174000",
      "123e4567-e89b-12d3-a456+426614174000"};
  private static final double[] NUMBERS = {0, -0.0, 48.137154, -122.419416, Double.NaN, Double.NEGATIVE_INFINITY,
      Double.MIN_VALUE, Double.MAX_VALUE, 1.0 / 3, 1e12};
  private static final long[] INTEGERS = {0, 1, -1, 12_50, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 40};

  @Test
  void any_event_comes_back_as_it_was() {
    Random random = new Random(1);
    for (int round = 0; round < 10_000; round++) {
      Event event = anyEvent(random);
      Event read = EventCodec.read(new ByteReader(bytes(event)));
      assertEquals(event, read);
      assertEquals(event.nullBits(), read.nullBits());
      assertTrue(Arrays.equals(event.texts(), read.texts()));
    }
  }

  @Test
  void missing_bytes_are_reported() {
    byte[] bytes = bytes(anyEvent(new Random(3)));
    for (int length = 0; length < bytes.length; length++) {
      ByteReader cut = new ByteReader(Arrays.copyOf(bytes, length));
      assertThrows(IllegalStateException.class, () -> EventCodec.read(cut));
    }
  }

  private static byte[] bytes(Event event) {
    ByteWriter writer = new ByteWriter(16);
    EventCodec.write(writer, event);
    return writer.toBytes();
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
}
