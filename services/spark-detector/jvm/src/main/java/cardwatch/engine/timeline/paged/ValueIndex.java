package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * The latest occurrence of each value of a column. A value of up to 15 bytes is its own name in the store, a longer one
 * has a hash of 128 bits.
 */
final class ValueIndex {
  private static final int LONGEST = 15;
  private static final long[] KEYS = {
      0x9216d5d98979fb1bL, 0xd1310ba698dfb5acL, 0x2ffd72dbd01adfb7L, 0xb8e1afed6a267e96L};

  private final Blocks blocks;
  private final Map<ByteBuffer, Name> known = new HashMap<>();
  private final Set<ByteBuffer> changed = new HashSet<>();

  ValueIndex(Blocks blocks) {
    this.blocks = blocks;
  }

  /** What an event's value in a column is called. */
  static ByteBuffer key(Column column, Event event) {
    return ByteBuffer.wrap(
        new ByteWriter(24).octet(Blocks.VALUE).unsigned(column.number).raw(value(column.field, event)).toBytes());
  }

  /** Its latest occurrence; null if there is none. */
  Name get(Column column, ByteBuffer key) {
    Name present = known.get(key);
    if (present != null || column.isNew || known.containsKey(key)) {
      return present;
    }
    byte[] bytes = blocks.entry(key.array());
    Name name = null;
    if (bytes != null) {
      ByteReader reader = new ByteReader(bytes);
      name = new Name(reader.fixed(), reader.unsigned(), reader.octet());
    }
    known.put(key, name);
    return name;
  }

  /** Set its latest occurrence; null for none. */
  void put(ByteBuffer key, Name latest) {
    known.put(key, latest);
    changed.add(key);
  }

  void save() {
    for (ByteBuffer key : changed) {
      Name latest = known.get(key);
      if (latest == null) {
        blocks.remove(key.array());
      } else {
        ByteWriter writer = new ByteWriter(16).fixed(latest.time()).unsigned(latest.arrival()).octet(latest.slot());
        blocks.writeEntry(key.array(), writer.toBytes());
      }
    }
    changed.clear();
  }

  /** Doubles that are equal, as 0.0 and −0.0 are, have one name, and so have all that are not a number. */
  private static byte[] value(Field field, Event event) {
    return switch (field.kind()) {
      case INTEGER -> new ByteWriter(8).fixed(event.integer(field)).toBytes();
      case DOUBLE -> new ByteWriter(8).fixed(Double.doubleToLongBits(event.number(field) + 0.0)).toBytes();
      case TEXT -> text(event.text(field).getBytes(StandardCharsets.UTF_8));
    };
  }

  private static byte[] text(byte[] bytes) {
    return bytes.length <= LONGEST ? bytes
                                   : new ByteWriter(16)
                                         .fixed(SipHash.hash(bytes, KEYS[0], KEYS[1]))
                                         .fixed(SipHash.hash(bytes, KEYS[2], KEYS[3]))
                                         .toBytes();
  }
}
