package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import java.util.HashMap;
import java.util.Map;
import java.util.function.IntPredicate;

/** For each event of a leaf, by its slot, and each column of distinct values: the previous occurrence of its value. */
final class Links {
  private static final int SLOTS = 64;

  private final Map<Integer, OfColumn> columns = new HashMap<>();

  /** The previous occurrence; null if there was none when it was last set. */
  Name get(int column, int slot) {
    OfColumn links = columns.get(column);
    return links == null || !Bits.get(links.present, slot)
        ? null
        : new Name(links.times[slot], links.arrivals[slot], links.slots[slot]);
  }

  /** Set the previous occurrence; null for none. */
  void set(int column, int slot, Name previous) {
    OfColumn links = columns.get(column);
    if (links == null) {
      if (previous == null) {
        return;
      }
      links = new OfColumn();
      columns.put(column, links);
    }
    links.present = Bits.with(links.present, slot, previous != null);
    if (previous != null) {
      links.times[slot] = previous.time();
      links.arrivals[slot] = previous.arrival();
      links.slots[slot] = (byte) previous.slot();
    }
  }

  /** Move the links of some slots to another leaf's links, of the same slots. */
  void move(long slots, Links target) {
    for (Map.Entry<Integer, OfColumn> entry : columns.entrySet()) {
      for (long rest = entry.getValue().present & slots; rest != 0; rest &= rest - 1) {
        int slot = Bits.first(rest);
        target.set(entry.getKey(), slot, get(entry.getKey(), slot));
      }
      entry.getValue().present &= ~slots;
    }
  }

  /** Forget the links of an event. */
  void clear(int slot) {
    columns.values().forEach(links -> links.present = Bits.with(links.present, slot, false));
  }

  /** Pack the links of the columns that still exist. */
  void write(ByteWriter writer, IntPredicate exists) {
    columns.keySet().removeIf(column -> !exists.test(column));
    writer.unsigned(columns.size());
    columns.forEach((column, links) -> links.write(writer.unsigned(column)));
  }

  static Links read(ByteReader reader) {
    Links links = new Links();
    for (int left = reader.count(); left > 0; left--) {
      int column = reader.count();
      links.columns.put(column, OfColumn.read(reader));
    }
    return links;
  }

  /** Times and arrival numbers are packed as differences from the largest. */
  private static final class OfColumn {
    private final long[] times = new long[SLOTS];
    private final long[] arrivals = new long[SLOTS];
    private final byte[] slots = new byte[SLOTS];
    private long present;

    private void write(ByteWriter writer) {
      long time = Long.MIN_VALUE;
      long arrival = 0;
      for (long rest = present; rest != 0; rest &= rest - 1) {
        time = Math.max(time, times[Bits.first(rest)]);
        arrival = Math.max(arrival, arrivals[Bits.first(rest)]);
      }
      writer.fixed(present).signed(time).unsigned(arrival);
      for (long rest = present; rest != 0; rest &= rest - 1) {
        int slot = Bits.first(rest);
        writer.unsigned(time - times[slot]).unsigned(arrival - arrivals[slot]).octet(slots[slot]);
      }
    }

    private static OfColumn read(ByteReader reader) {
      OfColumn links = new OfColumn();
      links.present = reader.fixed();
      long time = reader.signed();
      long arrival = reader.unsigned();
      for (long rest = links.present; rest != 0; rest &= rest - 1) {
        int slot = Bits.first(rest);
        links.times[slot] = time - reader.unsigned();
        links.arrivals[slot] = arrival - reader.unsigned();
        links.slots[slot] = (byte) reader.octet();
      }
      return links;
    }
  }
}
