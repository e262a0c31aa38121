package cardwatch.engine.decision;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.program.Profile;
import cardwatch.engine.program.ProfileCodec;
import cardwatch.engine.timeline.BlockStore;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;

/**
 * The profiles of one card by the day that they are for: of several for a day, the last one to arrive. They are kept in
 * a block of their own, which is read when the first one is asked for.
 */
public final class Profiles {
  /** The first byte of a key's profiles. */
  public static final int LAYOUT = 1;

  /** A day, microseconds. */
  static final long DAY = 86_400_000_000L;

  private static final byte[] BLOCK = "profiles".getBytes(StandardCharsets.UTF_8);

  private final BlockStore store;
  private TreeMap<Long, Profile> byDay;
  private boolean changed;

  private Profiles(BlockStore store) {
    this.store = store;
  }

  /** The profiles of a key. */
  public static Profiles open(BlockStore store) {
    return new Profiles(store);
  }

  /**
   * The profile for a transaction; {@link Profile#NONE} if there is none.
   *
   * @throws IllegalStateException the block is damaged, or was written by a later version
   */
  public Profile of(long eventTime) {
    return profiles().getOrDefault(Touch.dayOf(eventTime), Profile.NONE);
  }

  /** Take a profile for a day that begins so, instead of an earlier one. */
  void put(long validOn, Profile profile) {
    profiles().put(validOn, profile);
    changed = true;
  }

  /** Whether there is none. */
  public boolean isEmpty() {
    return profiles().isEmpty();
  }

  /**
   * The end of the last day for which there is one, microseconds.
   *
   * @throws java.util.NoSuchElementException there is none
   */
  public long end() {
    return endOfDay(profiles().lastKey());
  }

  /** The last microsecond of a day that begins so. */
  public static long endOfDay(long validOn) {
    return validOn + DAY - 1;
  }

  /** Remove the profiles of days of which no transaction is later than a time. */
  public void evictUntil(long time) {
    while (byDay != null && !byDay.isEmpty() && endOfDay(byDay.firstKey()) <= time) {
      byDay.pollFirstEntry();
      changed = true;
    }
  }

  /** Write what has changed to the store. */
  public void save() {
    if (changed && byDay.isEmpty()) {
      store.remove(BLOCK);
    } else if (changed) {
      store.put(BLOCK, write());
    }
    changed = false;
  }

  private TreeMap<Long, Profile> profiles() {
    if (byDay == null) {
      byDay = new TreeMap<>();
      byte[] block = store.get(BLOCK);
      if (block != null) {
        read(new ByteReader(block));
      }
    }
    return byDay;
  }

  private byte[] write() {
    ByteWriter writer = new ByteWriter(128).octet(LAYOUT).unsigned(byDay.size());
    for (Map.Entry<Long, Profile> one : byDay.entrySet()) {
      writer.signed(one.getKey());
      ProfileCodec.write(writer, one.getValue());
    }
    return writer.toBytes();
  }

  private void read(ByteReader reader) {
    reader.requireLayout(LAYOUT, "the list of a key's profiles");
    for (int left = reader.count(); left > 0; left--) {
      long validOn = reader.signed();
      byDay.put(validOn, ProfileCodec.read(reader));
    }
  }
}
