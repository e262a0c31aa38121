package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import org.junit.jupiter.api.Test;

class LinksTest {
  private static final Name LONG_AGO = new Name(-5, 1, 63);
  private static final Name RECENT = new Name(1_790_000_000_000_000L, 70_000, 0);

  @Test
  void linksAreSetMovedAndCleared() {
    Links links = new Links();
    links.set(1, 0, RECENT);
    links.set(1, 63, LONG_AGO);
    links.set(2, 63, RECENT);
    links.set(1, 5, null);
    Links tail = new Links();
    links.move(1L << 63, tail);
    assertEquals(RECENT, links.get(1, 0));
    assertNull(links.get(1, 63));
    assertEquals(LONG_AGO, tail.get(1, 63));
    assertEquals(RECENT, tail.get(2, 63));
    tail.clear(63);
    assertNull(tail.get(1, 63));
    assertNull(tail.get(2, 63));
    assertNull(tail.get(9, 9));
  }

  @Test
  void packedLinksOfColumnsThatExistComeBack() {
    Links links = new Links();
    links.set(1, 0, RECENT);
    links.set(1, 63, LONG_AGO);
    links.set(2, 1, LONG_AGO);
    links.set(3, 1, LONG_AGO);
    links.set(3, 1, null);
    ByteWriter writer = new ByteWriter(16);
    links.write(writer, column -> column != 2);
    Links read = Links.read(new ByteReader(writer.toBytes()));
    assertEquals(RECENT, read.get(1, 0));
    assertEquals(LONG_AGO, read.get(1, 63));
    assertNull(read.get(1, 1));
    assertNull(read.get(2, 1));
    assertNull(read.get(3, 1));
  }
}
