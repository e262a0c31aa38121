package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Event times by transaction id. An entry has the times of all ids of one 64-bit hash, nearly always one: whether an
 * event at one of them has the id is seen from the events.
 */
final class IdIndex {
  private static final long KEY_0 = 0x3f84d5b5b5470917L;
  private static final long KEY_1 = 0xc0ac29b7c97c50ddL;

  private final Blocks blocks;
  private final Map<Long, long[]> known = new HashMap<>();
  private final Set<Long> changed = new HashSet<>();

  IdIndex(Blocks blocks) {
    this.blocks = blocks;
  }

  /** Times at which there may be an event of a transaction id; there is none at others. */
  long[] times(String id) {
    return known.computeIfAbsent(hash(id), this::load);
  }

  void add(String id, long time) {
    long[] times = times(id);
    long[] more = java.util.Arrays.copyOf(times, times.length + 1);
    more[times.length] = time;
    put(id, more);
  }

  /** Remove one entry of a transaction id and time. */
  void remove(String id, long time) {
    long[] times = times(id);
    for (int at = 0; at < times.length; at++) {
      if (times[at] == time) {
        long[] fewer = java.util.Arrays.copyOf(times, times.length - 1);
        System.arraycopy(times, at + 1, fewer, at, fewer.length - at);
        put(id, fewer);
        return;
      }
    }
  }

  void save() {
    for (long hash : changed) {
      long[] times = known.get(hash);
      if (times.length == 0) {
        blocks.remove(key(hash));
        continue;
      }
      ByteWriter writer = new ByteWriter(8);
      for (long time : times) {
        writer.fixed(time);
      }
      blocks.writeEntry(key(hash), writer.toBytes());
    }
    changed.clear();
  }

  private void put(String id, long[] times) {
    long hash = hash(id);
    known.put(hash, times);
    changed.add(hash);
  }

  private long[] load(long hash) {
    byte[] bytes = blocks.entry(key(hash));
    if (bytes == null) {
      return new long[0];
    }
    ByteReader reader = new ByteReader(bytes);
    long[] times = new long[bytes.length / 8];
    for (int at = 0; at < times.length; at++) {
      times[at] = reader.fixed();
    }
    return times;
  }

  private static byte[] key(long hash) {
    return new ByteWriter(9).octet(Blocks.ID).fixed(hash).toBytes();
  }

  private static long hash(String id) {
    return SipHash.hash(id.getBytes(StandardCharsets.UTF_8), KEY_0, KEY_1);
  }
}
