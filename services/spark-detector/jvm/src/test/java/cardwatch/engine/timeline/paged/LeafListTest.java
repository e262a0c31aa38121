package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import org.junit.jupiter.api.Test;

class LeafListTest {
  private static LeafList leaves() {
    LeafList leaves = new LeafList(0);
    for (int at = 0; at < 10; at++) {
      leaves.insert(at, 100 + at, 1000L * at);
      leaves.set(at, at + 1, 1000L * at);
    }
    return leaves;
  }

  @Test
  void positionsAndTimesLeadToLeaves() {
    LeafList leaves = leaves();
    assertEquals(0, leaves.leafAt(0));
    assertEquals(1, leaves.leafAt(1));
    assertEquals(1, leaves.leafAt(2));
    assertEquals(9, leaves.leafAt(54));
    assertEquals(45, leaves.start(9));
    assertEquals(3, leaves.last(3999));
    assertEquals(4, leaves.last(4000));
    assertEquals(0, leaves.last(-5));
  }

  @Test
  void insertedAndRemovedLeavesMoveTheOthers() {
    LeafList leaves = leaves();
    leaves.insert(1, 7, 500);
    assertEquals(11, leaves.count());
    assertEquals(101, leaves.id(2));
    assertEquals(1, leaves.start(2));
    assertEquals(1 + 0 + 2, leaves.remove(0, 3));
    assertEquals(102, leaves.id(0));
    assertEquals(2000, leaves.firstTime(0));
    assertEquals(0, leaves.start(0));
  }

  @Test
  void aReadListIsTheSame() {
    ByteWriter writer = new ByteWriter(16);
    leaves().write(writer);
    LeafList read = LeafList.read(new ByteReader(writer.toBytes()));
    assertEquals(10, read.count());
    assertEquals(109, read.id(9));
    assertEquals(9000, read.firstTime(9));
    assertEquals(10, read.size(9));
  }
}
