package cardwatch.engine.event;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

class ByteWriterTest {
  @Test
  void numbersComeBack() {
    Random random = new Random(1);
    for (int round = 0; round < 2000; round++) {
      long value = random.nextLong() >> random.nextInt(64);
      double number = random.nextBoolean() ? Double.longBitsToDouble(value) : value / 1e6;
      byte[] bytes = new ByteWriter(1).signed(value).unsigned(value).fixed(value).number(number).octet(7).toBytes();
      ByteReader reader = new ByteReader(bytes);
      assertEquals(value, reader.signed());
      assertEquals(value, reader.unsigned());
      assertEquals(value, reader.fixed());
      assertEquals(Double.doubleToRawLongBits(number), Double.doubleToRawLongBits(reader.number()));
      assertEquals(7, reader.octet());
      assertEquals(0, reader.remaining());
    }
  }

  @Test
  void smallNumbersAndTokensAreShort() {
    assertEquals(1, new ByteWriter(1).signed(-64).size());
    assertTrue(new ByteWriter(1).number(48.137154).size() <= 5);
    assertEquals(1 + 16, new ByteWriter(1).text("123e4567-e89b-12d3-a456-426614174000").size());
    assertEquals(1 + 8, new ByteWriter(1).text("0123456789abcdef").size());
    assertEquals(1 + 3, new ByteWriter(1).text("EUR").size());
  }
}
