package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class BitsTest {
  @Test
  void bitsMoveLikeTheElementsOfAList() {
    Random random = new Random(1);
    for (int round = 0; round < 200; round++) {
      List<Boolean> expected = new ArrayList<>();
      long bits = 0;
      for (int step = 0; step < 150; step++) {
        if (expected.size() < 64 && (expected.isEmpty() || random.nextInt(3) > 0)) {
          int at = random.nextInt(expected.size() + 1);
          boolean value = random.nextBoolean();
          expected.add(at, value);
          bits = Bits.insert(bits, at, value);
        } else {
          int at = random.nextInt(expected.size());
          expected.remove(at);
          bits = Bits.remove(bits, at);
        }
        for (int at = 0; at < 64; at++) {
          assertEquals(at < expected.size() && expected.get(at), Bits.get(bits, at));
        }
        assertEquals(expected.contains(true) ? expected.indexOf(true) : 64, Bits.first(bits));
        assertEquals(expected.lastIndexOf(true), Bits.last(bits));
      }
    }
  }

  @Test
  void rangesReachFromNoneToAll() {
    assertEquals(0, Bits.range(5, 5));
    assertEquals(-1L, Bits.range(0, 64));
    assertEquals(0b1110, Bits.range(1, 4));
    assertEquals(Long.MIN_VALUE, Bits.range(63, 64));
  }
}
