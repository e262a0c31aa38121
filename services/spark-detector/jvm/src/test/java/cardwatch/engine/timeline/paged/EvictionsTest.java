package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import org.junit.jupiter.api.Test;

class EvictionsTest {
  @Test
  void whatArrivedAfterAnEvictionIsNotGone() {
    Evictions evictions = new Evictions();
    evictions.add(100, 7);
    evictions.add(50, 9);
    ByteWriter writer = new ByteWriter(16);
    evictions.write(writer);
    for (Evictions each : new Evictions[] {evictions, Evictions.read(new ByteReader(writer.toBytes()))}) {
      assertTrue(each.isGone(new Name(100, 6, 0)));
      assertFalse(each.isGone(new Name(101, 6, 0)));
      assertFalse(each.isGone(new Name(100, 7, 0)));
      assertTrue(each.isGone(new Name(50, 8, 0)));
      assertFalse(each.isGone(new Name(50, 9, 0)));
    }
  }

  @Test
  void aLaterEvictionReplacesEarlierOnes() {
    Evictions evictions = new Evictions();
    for (int at = 0; at < 100; at++) {
      evictions.add(at, at);
    }
    ByteWriter writer = new ByteWriter(16);
    evictions.write(writer);
    assertTrue(writer.size() < 8);
    assertTrue(evictions.isGone(new Name(99, 98, 0)));
  }
}
