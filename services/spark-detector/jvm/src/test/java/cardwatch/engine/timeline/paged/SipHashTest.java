package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class SipHashTest {
  /** The test vector of the paper's appendix A, and one of its authors' program for no bytes. */
  @Test
  void hashesAreThoseOfThePaper() {
    byte[] bytes = new byte[15];
    for (int at = 0; at < bytes.length; at++) {
      bytes[at] = (byte) at;
    }
    assertEquals(0xa129ca6149be45e5L, SipHash.hash(bytes, 0x0706050403020100L, 0x0f0e0d0c0b0a0908L));
    assertEquals(0x726fdb47dd0e0e31L, SipHash.hash(new byte[0], 0x0706050403020100L, 0x0f0e0d0c0b0a0908L));
  }
}
