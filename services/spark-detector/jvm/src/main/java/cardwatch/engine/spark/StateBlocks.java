package cardwatch.engine.spark;

import cardwatch.engine.timeline.BlockStore;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.streaming.MapState;
import org.apache.spark.sql.streaming.StatefulProcessorHandle;
import org.apache.spark.sql.streaming.TTLConfig;
import org.apache.spark.sql.streaming.ValueState;

/** The state of the key that Spark is at: a value and a map. */
final class StateBlocks implements BlockStore {
  private final ValueState<byte[]> head;
  private final MapState<byte[], byte[]> blocks;

  // Of the key that Spark is at.
  private byte[] readHead;
  private boolean isRead;

  /** The state variables of an operator; their names are part of the checkpoint. */
  StateBlocks(StatefulProcessorHandle handle) {
    head = handle.getValueState("head", Encoders.BINARY(), TTLConfig.NONE());
    blocks = handle.getMapState("blocks", Encoders.BINARY(), Encoders.BINARY(), TTLConfig.NONE());
  }

  /** Forget what was read of the key before. */
  void nextKey() {
    readHead = null;
    isRead = false;
  }

  @Override
  public byte[] head() {
    if (!isRead) {
      readHead = head.get();
      isRead = true;
    }
    return readHead;
  }

  @Override
  public void head(byte[] bytes) {
    readHead = bytes;
    isRead = true;
    if (bytes == null) {
      head.clear();
    } else {
      head.update(bytes);
    }
  }

  @Override
  public byte[] get(byte[] key) {
    return blocks.getValue(key);
  }

  @Override
  public void put(byte[] key, byte[] value) {
    blocks.updateValue(key, value);
  }

  @Override
  public void remove(byte[] key) {
    blocks.removeKey(key);
  }
}
