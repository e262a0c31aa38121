package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.timeline.BlockStore;

/** The blocks of one key: their names in the store, and their layout byte. */
final class Blocks {
  // Kinds of blocks, which their keys begin with. Keys of others begin with a letter.

  /** Of a leaf: times, numbers, arrival numbers and slots; texts; links to previous occurrences. */
  static final int NUMBERS = 1;

  static final int TEXTS = 2;
  static final int LINKS = 3;

  /** Of a page: its leaves; what columns keep about each leaf; one of these for each column of distinct values. */
  static final int PAGE = 4;

  static final int SUMMARIES = 5;
  static final int LATEST = 6;

  /** Of a transaction id and of a value of a column. */
  static final int ID = 7;

  static final int VALUE = 8;

  /** The first byte of each block. */
  static final int LAYOUT = 1;

  private final BlockStore store;

  Blocks(BlockStore store) {
    this.store = store;
  }

  static byte[] key(int kind, long number) {
    return new ByteWriter(8).octet(kind).unsigned(number).toBytes();
  }

  static byte[] key(int kind, long number, long second) {
    return new ByteWriter(12).octet(kind).unsigned(number).unsigned(second).toBytes();
  }

  /** A writer of a block's content. */
  static ByteWriter writer(int room) {
    return new ByteWriter(room).octet(LAYOUT);
  }

  /**
   * A block that has to be there.
   *
   * @throws IllegalStateException it is not, or a later version has written it
   */
  ByteReader read(byte[] key) {
    ByteReader reader = find(key);
    if (reader == null) {
      throw new IllegalStateException("the state of a key is damaged: a block of kind " + key[0] + " is missing");
    }
    return reader;
  }

  /**
   * A block; null if there is none.
   *
   * @throws IllegalStateException a later version has written it
   */
  ByteReader find(byte[] key) {
    byte[] bytes = store.get(key);
    if (bytes == null) {
      return null;
    }
    ByteReader reader = new ByteReader(bytes);
    reader.requireLayout(LAYOUT, "a block of the state");
    return reader;
  }

  void write(byte[] key, ByteWriter content) {
    store.put(key, content.toBytes());
  }

  void remove(byte[] key) {
    store.remove(key);
  }

  /** The bytes of an entry without a layout byte; null if there is none. */
  byte[] entry(byte[] key) {
    return store.get(key);
  }

  void writeEntry(byte[] key, byte[] value) {
    store.put(key, value);
  }
}
