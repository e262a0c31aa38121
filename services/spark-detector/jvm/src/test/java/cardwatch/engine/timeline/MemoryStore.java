package cardwatch.engine.timeline;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;

/** The state of one key in memory. */
public final class MemoryStore implements BlockStore {
  private final Map<ByteBuffer, byte[]> blocks = new HashMap<>();
  private byte[] head;

  @Override
  public byte[] head() {
    return head == null ? null : head.clone();
  }

  @Override
  public void head(byte[] bytes) {
    head = bytes == null ? null : bytes.clone();
  }

  @Override
  public byte[] get(byte[] key) {
    byte[] found = blocks.get(ByteBuffer.wrap(key));
    return found == null ? null : found.clone();
  }

  @Override
  public void put(byte[] key, byte[] value) {
    blocks.put(ByteBuffer.wrap(key.clone()), value.clone());
  }

  @Override
  public void remove(byte[] key) {
    blocks.remove(ByteBuffer.wrap(key));
  }

  /** How many blocks there are, without the head. */
  public int blocks() {
    return blocks.size();
  }
}
