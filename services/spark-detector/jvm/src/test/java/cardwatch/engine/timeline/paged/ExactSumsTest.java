package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigInteger;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ExactSumsTest {
  @Test
  void sumsOfAnyValuesAreExact() {
    Random random = new Random(1);
    long[] extremes = {Long.MIN_VALUE, Long.MAX_VALUE, -1, 0, 1, 1L << 32, -(1L << 32)};
    for (int round = 0; round < 300; round++) {
      long[][] left = new long[ExactSums.WIDTH][1];
      long[][] right = new long[ExactSums.WIDTH][1];
      BigInteger sum = BigInteger.ZERO;
      BigInteger squares = BigInteger.ZERO;
      long wrapping = 0;
      int count = random.nextInt(200);
      for (int at = 0; at < count; at++) {
        long value = random.nextBoolean() ? random.nextLong() : extremes[random.nextInt(extremes.length)];
        ExactSums.addValue(random.nextBoolean() ? left : right, 0, value);
        sum = sum.add(BigInteger.valueOf(value));
        squares = squares.add(BigInteger.valueOf(value).pow(2));
        wrapping += value;
      }
      ExactSums.merge(left, 0, right, 0);
      assertEquals(wrapping, left[0][0]);
      double spread = squares.multiply(BigInteger.valueOf(count)).subtract(sum.pow(2)).doubleValue();
      assertEquals(spread, ExactSums.spread(left, 0, count));
    }
  }
}
