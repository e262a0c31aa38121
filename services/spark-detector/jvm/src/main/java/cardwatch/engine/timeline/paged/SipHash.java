package cardwatch.engine.timeline.paged;

/**
 * SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012): whoever does not know the key cannot find
 * two texts of one hash.
 *
 * <p>The keys are constants of this program. Somebody who has read them could look for ids or values that collide: two
 * ids of one hash are told apart by the events themselves ({@link IdIndex}), and for values 128 bits are compared.
 */
final class SipHash {
  private SipHash() {}

  /** The hash of some bytes under a key of 128 bits. */
  static long hash(byte[] bytes, long key0, long key1) {
    long v0 = key0 ^ 0x736f6d6570736575L;
    long v1 = key1 ^ 0x646f72616e646f6dL;
    long v2 = key0 ^ 0x6c7967656e657261L;
    long v3 = key1 ^ 0x7465646279746573L;
    int words = bytes.length / 8 + 1;
    for (int word = 0; word <= words; word++) {
      long message = word < words ? word(bytes, word) : 0;
      v3 ^= message;
      v2 ^= word == words ? 0xff : 0;
      for (int round = word < words ? 2 : 4; round > 0; round--) {
        v0 += v1;
        v2 += v3;
        v1 = Long.rotateLeft(v1, 13) ^ v0;
        v3 = Long.rotateLeft(v3, 16) ^ v2;
        v0 = Long.rotateLeft(v0, 32) + v3;
        v2 += v1;
        v3 = Long.rotateLeft(v3, 21) ^ v0;
        v1 = Long.rotateLeft(v1, 17) ^ v2;
        v2 = Long.rotateLeft(v2, 32);
      }
      v0 ^= message;
    }
    return v0 ^ v1 ^ v2 ^ v3;
  }

  /** Eight bytes, the lowest first; the last word holds the rest and, in its highest byte, the length. */
  private static long word(byte[] bytes, int word) {
    long value = word == bytes.length / 8 ? (long) bytes.length << 56 : 0;
    int end = Math.min(bytes.length, word * 8 + 8);
    for (int at = word * 8; at < end; at++) {
      value |= (bytes[at] & 255L) << 8 * (at - word * 8);
    }
    return value;
  }
}
