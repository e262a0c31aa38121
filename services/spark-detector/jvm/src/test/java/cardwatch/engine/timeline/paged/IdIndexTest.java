package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;

import cardwatch.engine.timeline.MemoryStore;
import org.junit.jupiter.api.Test;

class IdIndexTest {
  @Test
  void timesAreKeptUntilTheLastIsRemoved() {
    MemoryStore store = new MemoryStore();
    IdIndex ids = new IdIndex(new Blocks(store));
    ids.add("a", 5);
    ids.add("a", 7);
    ids.add("b", -1);
    assertEquals(0, store.blocks());
    ids.save();
    assertEquals(2, store.blocks());
    IdIndex read = new IdIndex(new Blocks(store));
    assertEquals(2, read.times("a").length);
    assertEquals(-1, read.times("b")[0]);
    assertEquals(0, read.times("c").length);
    read.remove("a", 5);
    read.remove("a", 6);
    read.remove("b", -1);
    assertEquals(7, read.times("a")[0]);
    read.remove("a", 7);
    read.save();
    assertEquals(0, store.blocks());
  }
}
