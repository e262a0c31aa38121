package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import java.util.Arrays;

/** Which leaves a page has: their ids, the times of their first events, and how many events they have. */
final class LeafList {
  private int count;
  private int[] ids;
  private long[] firstTimes;
  private int[] sizes;
  private int[] starts;

  LeafList(int room) {
    ids = new int[Math.max(4, room)];
    firstTimes = new long[ids.length];
    sizes = new int[ids.length];
  }

  int count() {
    return count;
  }

  /** How many leaves it has room for until it grows. */
  int room() {
    return ids.length;
  }

  int id(int leaf) {
    return ids[leaf];
  }

  long firstTime(int leaf) {
    return firstTimes[leaf];
  }

  int size(int leaf) {
    return sizes[leaf];
  }

  int[] sizes() {
    return sizes;
  }

  /** How many events the leaves before one have. */
  int start(int leaf) {
    return starts()[leaf];
  }

  /** The leaf that has the event of a position. */
  int leafAt(int position) {
    int leaf = Arrays.binarySearch(starts(), 0, count, position);
    return leaf < 0 ? -leaf - 2 : leaf;
  }

  /** The last leaf that begins at or before a time; the first one if none does. */
  int last(long time) {
    int low = 1;
    int high = count;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (firstTimes[middle] <= time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - 1;
  }

  void set(int leaf, int size, long firstTime) {
    sizes[leaf] = size;
    firstTimes[leaf] = firstTime;
    starts = null;
  }

  /** Insert a leaf without events. */
  void insert(int at, int id, long firstTime) {
    if (count == ids.length) {
      ids = Arrays.copyOf(ids, count * 2);
      firstTimes = Arrays.copyOf(firstTimes, count * 2);
      sizes = Arrays.copyOf(sizes, count * 2);
    }
    System.arraycopy(ids, at, ids, at + 1, count - at);
    System.arraycopy(firstTimes, at, firstTimes, at + 1, count - at);
    System.arraycopy(sizes, at, sizes, at + 1, count - at);
    ids[at] = id;
    count++;
    set(at, 0, firstTime);
  }

  /** Take out the leaves of [from, to); returns how many events they had. */
  int remove(int from, int to) {
    int events = Arrays.stream(sizes, from, to).sum();
    System.arraycopy(ids, to, ids, from, count - to);
    System.arraycopy(firstTimes, to, firstTimes, from, count - to);
    System.arraycopy(sizes, to, sizes, from, count - to);
    count -= to - from;
    starts = null;
    return events;
  }

  void write(ByteWriter writer) {
    writer.unsigned(count);
    long previous = 0;
    for (int leaf = 0; leaf < count; leaf++) {
      writer.unsigned(ids[leaf]).unsigned(sizes[leaf]).signed(firstTimes[leaf] - previous);
      previous = firstTimes[leaf];
    }
  }

  static LeafList read(ByteReader reader) {
    int count = reader.count();
    LeafList leaves = new LeafList(count + 1);
    leaves.count = count;
    long previous = 0;
    for (int leaf = 0; leaf < count; leaf++) {
      leaves.ids[leaf] = reader.count();
      leaves.sizes[leaf] = reader.count();
      previous += reader.signed();
      leaves.firstTimes[leaf] = previous;
    }
    return leaves;
  }

  private int[] starts() {
    if (starts == null) {
      starts = new int[count];
      for (int leaf = 1; leaf < count; leaf++) {
        starts[leaf] = starts[leaf - 1] + sizes[leaf - 1];
      }
    }
    return starts;
  }
}
