package cardwatch.engine.timeline.paged;

import java.math.BigInteger;

/** Σx in 128 bits and Σx² in 192, which do not overflow for 64-bit values: five longs, [part][position]. */
final class ExactSums {
  static final int WIDTH = 5;

  private ExactSums() {}

  static void addValue(long[][] sums, int at, long value) {
    add(sums, at, value, value >> 63, value * value, Math.multiplyHigh(value, value), 0);
  }

  static void merge(long[][] sums, int at, long[][] others, int from) {
    add(sums, at, others[0][from], others[1][from], others[2][from], others[3][from], others[4][from]);
  }

  /** n·Σx² − (Σx)², rounded once. */
  static double spread(long[][] sums, int at, long count) {
    BigInteger sum = number(sums[1][at], sums[0][at]);
    BigInteger squares = BigInteger.valueOf(sums[4][at])
                             .shiftLeft(128)
                             .add(number(0, sums[3][at]).shiftLeft(64))
                             .add(number(0, sums[2][at]));
    return squares.multiply(BigInteger.valueOf(count)).subtract(sum.multiply(sum)).doubleValue();
  }

  private static void add(
      long[][] sums, int at, long low, long high, long squaresLow, long squaresMiddle, long squaresHigh) {
    sums[0][at] += low;
    sums[1][at] += high + carry(sums[0][at], low);
    sums[2][at] += squaresLow;
    long first = carry(sums[2][at], squaresLow);
    sums[3][at] += squaresMiddle;
    long second = carry(sums[3][at], squaresMiddle);
    sums[3][at] += first;
    sums[4][at] += squaresHigh + second + carry(sums[3][at], first);
  }

  private static long carry(long sum, long addend) {
    return Long.compareUnsigned(sum, addend) < 0 ? 1 : 0;
  }

  private static BigInteger number(long high, long low) {
    BigInteger unsigned = BigInteger.valueOf(low & Long.MAX_VALUE);
    return BigInteger.valueOf(high).shiftLeft(64).add(low < 0 ? unsigned.setBit(63) : unsigned);
  }
}
