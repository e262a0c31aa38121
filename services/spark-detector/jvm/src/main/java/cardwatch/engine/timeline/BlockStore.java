package cardwatch.engine.timeline;

/** The state of one key: a small value that each touch reads, and blocks that are read when they are needed. */
public interface BlockStore {
  /** The head; null for a key that has none. */
  byte[] head();

  /** Write the head; null removes it. */
  void head(byte[] bytes);

  /** A block; null if there is none. */
  byte[] get(byte[] key);

  /** Write a block. */
  void put(byte[] key, byte[] value);

  /** Remove a block, if there is one. */
  void remove(byte[] key);
}
