package cardwatch.engine.decision;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.program.Profile;
import cardwatch.engine.program.ProfileField;
import cardwatch.engine.timeline.BlockStore;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The profiles of one card by the day that they are for: of several for a day, the last one to arrive. They are kept in
 * a block of their own, which is read when the first one is asked for.
 */
public final class Profiles {
  /** A day, microseconds. */
  static final long DAY = 86_400_000_000L;

  private static final int LAYOUT = 1;
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

  /** Remove the profiles of days of which no transaction is later than a time. */
  void evictUntil(long time) {
    while (byDay != null && !byDay.isEmpty() && byDay.firstKey() + DAY - 1 <= time) {
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
      for (ProfileField field : ProfileField.values()) {
        write(writer, one.getValue(), field);
      }
    }
    return writer.toBytes();
  }

  private static void write(ByteWriter writer, Profile profile, ProfileField field) {
    writer.octet(profile.isNull(field) ? 0 : 1);
    if (profile.isNull(field)) {
      return;
    }
    switch (field.type()) {
      case INTEGER -> writer.signed(profile.integer(field));
      case DOUBLE -> writer.number(profile.number(field));
      case TEXTS -> {
        writer.unsigned(profile.texts(field).size());
        profile.texts(field).forEach(writer::text);
      }
      case INTEGERS -> {
        writer.unsigned(profile.integers(field).size());
        profile.integers(field).forEach(writer::signed);
      }
      default -> throw new IllegalStateException(field + " is of no type that profiles have");
    }
  }

  private void read(ByteReader reader) {
    int layout = reader.octet();
    if (layout != LAYOUT) {
      throw new IllegalStateException("the profiles of a key have layout " + layout + "; this version reads layout "
          + LAYOUT + ": start the version that wrote them, or a later one");
    }
    for (int left = reader.count(); left > 0; left--) {
      long validOn = reader.signed();
      Profile.Builder builder = new Profile.Builder();
      for (ProfileField field : ProfileField.values()) {
        if (reader.octet() != 0) {
          read(reader, builder, field);
        }
      }
      byDay.put(validOn, builder.build());
    }
  }

  private static void read(ByteReader reader, Profile.Builder builder, ProfileField field) {
    switch (field.type()) {
      case INTEGER -> builder.integer(field, reader.signed());
      case DOUBLE -> builder.number(field, reader.number());
      case TEXTS -> {
        List<String> texts = new ArrayList<>();
        for (int left = reader.count(); left > 0; left--) {
          texts.add(reader.text());
        }
        builder.texts(field, texts);
      }
      case INTEGERS -> {
        List<Long> integers = new ArrayList<>();
        for (int left = reader.count(); left > 0; left--) {
          integers.add(reader.signed());
        }
        builder.integers(field, integers);
      }
      default -> throw new IllegalStateException(field + " is of no type that profiles have");
    }
  }
}
