package cardwatch.engine.timeline.paged;

/** Sets of up to 64 positions as the bits of a long, the lowest bit first. */
final class Bits {
  private Bits() {}

  /** The positions of [0, to). */
  static long below(int to) {
    return to >= 64 ? -1L : (1L << to) - 1;
  }

  /** The positions of [from, to). */
  static long range(int from, int to) {
    return below(to) & ~below(from);
  }

  static boolean get(long bits, int at) {
    return (bits >>> at & 1) != 0;
  }

  static long with(long bits, int at, boolean value) {
    return value ? bits | 1L << at : bits & ~(1L << at);
  }

  /** The positions after one was inserted: those from it on have moved up by one. */
  static long insert(long bits, int at, boolean value) {
    long low = bits & below(at);
    return with(low | (bits & ~below(at)) << 1, at, value);
  }

  /** The positions after one was removed: those after it have moved down by one. */
  static long remove(long bits, int at) {
    return bits & below(at) | bits >>> 1 & ~below(at);
  }

  /** The lowest position; 64 if there is none. */
  static int first(long bits) {
    return Long.numberOfTrailingZeros(bits);
  }

  /** The highest position; −1 if there is none. */
  static int last(long bits) {
    return 63 - Long.numberOfLeadingZeros(bits);
  }
}
