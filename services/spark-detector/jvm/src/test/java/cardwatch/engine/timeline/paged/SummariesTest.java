package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.timeline.paged.Column.Kind;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SummariesTest {
  @Test
  void doublesKeepTheirOrderAsLongs() {
    double[] numbers = {Double.NEGATIVE_INFINITY, -1e300, -1, -Double.MIN_VALUE, -0.0, 0.0, Double.MIN_VALUE, 1,
        Double.MAX_VALUE, Double.NaN};
    for (int at = 0; at < numbers.length; at++) {
      assertEquals(numbers[at], Summaries.number(Summaries.orderOf(numbers[at])));
      assertTrue(at == 0 || Summaries.orderOf(numbers[at - 1]) < Summaries.orderOf(numbers[at]));
    }
  }

  @Test
  void extremesOfNothingGiveWay() {
    long[][] values = Summaries.none(Kind.EXTREMES);
    Summaries.addValue(Kind.EXTREMES, values, 0, 5);
    Summaries.merge(Kind.EXTREMES, values, 0, Summaries.none(Kind.EXTREMES), 0, 1, true);
    assertEquals(5, values[0][0]);
    assertEquals(5, values[1][0]);
  }

  @Test
  void whatIsPackedComesBack() {
    Random random = new Random(1);
    int[] sizes = {0, 1, 5, 63, 64};
    for (Kind kind : Kind.values()) {
      for (boolean leaves : new boolean[] {true, false}) {
        long[][] values = new long[kind.width][sizes.length];
        for (long[] part : values) {
          Arrays.setAll(
              part, at -> random.nextBoolean() ? Bits.below(sizes[at]) : random.nextLong() & Bits.below(sizes[at]));
        }
        ByteWriter writer = new ByteWriter(16);
        Summaries.write(writer, kind, values, sizes.length, leaves ? sizes : null);
        long[][] read = new long[kind.width][sizes.length];
        Summaries.read(new ByteReader(writer.toBytes()), kind, read, sizes.length, leaves ? sizes : null);
        assertTrue(Arrays.deepEquals(values, read), kind.name());
      }
    }
  }
}
