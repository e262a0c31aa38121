package cardwatch.engine.timeline;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;

/** The state of one key in memory, which counts what is read and written. */
public final class CountingStore implements BlockStore {
  private final Map<ByteBuffer, byte[]> blocks = new HashMap<>();
  private byte[] head;
  private int reads;
  private long written;

  @Override
  public byte[] head() {
    return head;
  }

  @Override
  public void head(byte[] bytes) {
    head = bytes;
    written += bytes == null ? 0 : bytes.length;
  }

  @Override
  public byte[] get(byte[] key) {
    reads++;
    return blocks.get(ByteBuffer.wrap(key));
  }

  @Override
  public void put(byte[] key, byte[] value) {
    written += key.length + value.length;
    blocks.put(ByteBuffer.wrap(key), value);
  }

  @Override
  public void remove(byte[] key) {
    blocks.remove(ByteBuffer.wrap(key));
  }

  /** Begin to count again. */
  public void reset() {
    reads = 0;
    written = 0;
  }

  /** How many blocks were asked for. */
  public int reads() {
    return reads;
  }

  /** How many bytes were written, keys included. */
  public long written() {
    return written;
  }

  /** How many bytes there are, keys included. */
  public long size() {
    long bytes = head == null ? 0 : head.length;
    for (Map.Entry<ByteBuffer, byte[]> entry : blocks.entrySet()) {
      bytes += entry.getKey().capacity() + entry.getValue().length;
    }
    return bytes;
  }
}
