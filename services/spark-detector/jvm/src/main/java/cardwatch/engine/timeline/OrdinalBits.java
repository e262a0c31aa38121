package cardwatch.engine.timeline;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import java.util.Arrays;

/** One bit per event of a key, by its ordinal. */
final class OrdinalBits {
  private static final int WORD = Long.SIZE;

  /** The first bit is the lowest of the first word; bits behind the last one are 0. */
  private long[] words;
  private int size;

  /** All false. */
  OrdinalBits(int size) {
    this.size = size;
    words = new long[wordsOf(size)];
  }

  /** How many words hold so many bits. */
  private static int wordsOf(int size) {
    return (size + WORD - 1) / WORD;
  }

  /** Bits as {@link #write} has written them. */
  static OrdinalBits read(ByteReader reader, int size) {
    OrdinalBits bits = new OrdinalBits(size);
    for (int at = 0; at < size; at += Byte.SIZE) {
      bits.words[at / WORD] |= (long) reader.octet() << at;
    }
    return bits;
  }

  /** Write the bits, eight to a byte; their number is not written. */
  void write(ByteWriter writer) {
    for (int at = 0; at < size; at += Byte.SIZE) {
      writer.octet((int) (words[at / WORD] >>> at));
    }
  }

  boolean get(int ordinal) {
    return (words[ordinal / WORD] >>> ordinal & 1) != 0;
  }

  void set(int ordinal, boolean value) {
    if (value) {
      words[ordinal / WORD] |= 1L << ordinal;
    } else {
      words[ordinal / WORD] &= ~(1L << ordinal);
    }
  }

  int count(int from, int to) {
    int found = 0;
    for (int word = from / WORD; word * WORD < to; word++) {
      found += Long.bitCount(within(word, from, to));
    }
    return found;
  }

  /** The first set bit of [from, to); −1 if there is none. */
  int first(int from, int to) {
    for (int word = from / WORD; word * WORD < to; word++) {
      long bits = within(word, from, to);
      if (bits != 0) {
        return word * WORD + Long.numberOfTrailingZeros(bits);
      }
    }
    return -1;
  }

  /** The last set bit of [from, to); −1 if there is none. */
  int last(int from, int to) {
    for (int word = (to - 1) / WORD; to > from && word >= from / WORD; word--) {
      long bits = within(word, from, to);
      if (bits != 0) {
        return word * WORD + WORD - 1 - Long.numberOfLeadingZeros(bits);
      }
    }
    return -1;
  }

  /** Make room at an ordinal; later bits move up. */
  void insert(int ordinal, boolean value) {
    size++;
    if (words.length < wordsOf(size)) {
      words = Arrays.copyOf(words, wordsOf(size));
    }
    int at = ordinal / WORD;
    for (int word = words.length - 1; word > at; word--) {
      words[word] = words[word] << 1 | words[word - 1] >>> WORD - 1;
    }
    long below = (1L << ordinal) - 1;
    words[at] = words[at] & below | (words[at] & ~below) << 1;
    set(ordinal, value);
  }

  /** Take out the bits of [from, to); later bits move down. */
  void remove(int from, int to) {
    if (from == 0 && size <= WORD && to < WORD) {
      size -= to;
      words[0] >>>= to;
      return;
    }
    OrdinalBits left = new OrdinalBits(size - (to - from));
    for (int at = first(0, size); at >= 0; at = first(at + 1, size)) {
      if (at < from || at >= to) {
        left.set(at < from ? at : at - (to - from), true);
      }
    }
    size = left.size;
    words = left.words;
  }

  private long within(int word, int from, int to) {
    long bits = words[word];
    int start = word * WORD;
    if (from > start) {
      bits &= -1L << from;
    }
    if (to - start < WORD) {
      bits &= (1L << to) - 1;
    }
    return bits;
  }
}
