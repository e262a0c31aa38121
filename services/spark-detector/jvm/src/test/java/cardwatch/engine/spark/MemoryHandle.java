package cardwatch.engine.spark;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.UUID;
import java.util.function.UnaryOperator;
import org.apache.spark.sql.Encoder;
import org.apache.spark.sql.streaming.ListState;
import org.apache.spark.sql.streaming.MapState;
import org.apache.spark.sql.streaming.QueryInfo;
import org.apache.spark.sql.streaming.StatefulProcessorHandle;
import org.apache.spark.sql.streaming.TTLConfig;
import org.apache.spark.sql.streaming.ValueState;
import scala.Tuple2;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;

/** The state and timers of all keys in memory, as Spark offers them for the key that it is at. */
final class MemoryHandle implements StatefulProcessorHandle {
  private static final long serialVersionUID = 1L;

  /** The key that Spark is at. */
  transient Object key;

  final transient Map<Object, Object> heads = new HashMap<>();
  final transient Map<Object, Map<Object, Object>> blocks = new HashMap<>();
  final transient Map<Object, TreeSet<Long>> timers = new HashMap<>();
  private final UUID run = UUID.randomUUID();

  /** The keys that have anything. */
  TreeSet<String> keys() {
    TreeSet<String> keys = new TreeSet<>();
    for (Map<Object, ?> of : List.of(heads, blocks, timers)) {
      of.forEach((one, value) -> keys.add(one.toString()));
    }
    return keys;
  }

  /** What it holds, as it is now. */
  Snapshot snapshot() {
    return new Snapshot(new HashMap<>(heads), copies(blocks, HashMap::new), copies(timers, TreeSet::new));
  }

  /** Hold again what it held then; once per snapshot. */
  void restore(Snapshot snapshot) {
    replace(heads, snapshot.heads);
    replace(blocks, snapshot.blocks);
    replace(timers, snapshot.timers);
  }

  private static <V> Map<Object, V> copies(Map<Object, V> of, UnaryOperator<V> copy) {
    Map<Object, V> made = new HashMap<>();
    of.forEach((one, value) -> made.put(one, copy.apply(value)));
    return made;
  }

  private static <V> void replace(Map<Object, V> all, Map<Object, V> by) {
    all.clear();
    all.putAll(by);
  }

  /** A copy of all state and timers. */
  record
      Snapshot(Map<Object, Object> heads, Map<Object, Map<Object, Object>> blocks, Map<Object, TreeSet<Long>> timers) {}

  @Override
  public <T> ValueState<T> getValueState(String name, Encoder<T> encoder, TTLConfig ttl) {
    return new Value<>();
  }

  @Override
  public <T> ValueState<T> getValueState(String name, TTLConfig ttl, Encoder<T> encoder) {
    return new Value<>();
  }

  @Override
  public <K, V> MapState<K, V> getMapState(String name, Encoder<K> keys, Encoder<V> values, TTLConfig ttl) {
    return new Blocks<>();
  }

  @Override
  public <K, V> MapState<K, V> getMapState(String name, TTLConfig ttl, Encoder<K> keys, Encoder<V> values) {
    return new Blocks<>();
  }

  @Override
  public <T> ListState<T> getListState(String name, Encoder<T> encoder, TTLConfig ttl) {
    throw new UnsupportedOperationException();
  }

  @Override
  public <T> ListState<T> getListState(String name, TTLConfig ttl, Encoder<T> encoder) {
    throw new UnsupportedOperationException();
  }

  @Override
  public QueryInfo getQueryInfo() {
    return new QueryInfo() {
      private static final long serialVersionUID = 1L;

      @Override
      public UUID getQueryId() {
        return run;
      }

      @Override
      public UUID getRunId() {
        return run;
      }

      @Override
      public long getBatchId() {
        return 0;
      }
    };
  }

  @Override
  public void registerTimer(long at) {
    timers.computeIfAbsent(key, one -> new TreeSet<>()).add(at);
  }

  @Override
  public void deleteTimer(long at) {
    timers.get(key).remove(at);
    if (timers.get(key).isEmpty()) {
      timers.remove(key);
    }
  }

  @Override
  public Iterator<Object> listTimers() {
    List<Object> found = new ArrayList<>(timers.getOrDefault(key, new TreeSet<>()));
    return CollectionConverters.asScala(found.iterator());
  }

  @Override
  public void deleteIfExists(String name) {
    throw new UnsupportedOperationException();
  }

  private final class Value<T> implements ValueState<T> {
    private static final long serialVersionUID = 1L;

    @Override
    public boolean exists() {
      return heads.containsKey(key);
    }

    @Override
    @SuppressWarnings("unchecked") // what update has put there
    public T get() {
      return (T) heads.get(key);
    }

    @Override
    public void update(T value) {
      heads.put(key, value);
    }

    @Override
    public void clear() {
      heads.remove(key);
    }
  }

  private final class Blocks<K, V> implements MapState<K, V> {
    private static final long serialVersionUID = 1L;

    @Override
    public boolean exists() {
      return blocks.containsKey(key);
    }

    @Override
    @SuppressWarnings("unchecked") // what updateValue has put there
    public V getValue(K at) {
      return (V) blocks.getOrDefault(key, Map.of()).get(ByteBuffer.wrap((byte[]) at));
    }

    @Override
    public boolean containsKey(K at) {
      return getValue(at) != null;
    }

    @Override
    public void updateValue(K at, V value) {
      blocks.computeIfAbsent(key, one -> new HashMap<>()).put(ByteBuffer.wrap((byte[]) at), value);
    }

    @Override
    public void removeKey(K at) {
      Map<Object, Object> own = blocks.getOrDefault(key, new HashMap<>());
      own.remove(ByteBuffer.wrap((byte[]) at));
      if (own.isEmpty()) {
        blocks.remove(key);
      }
    }

    @Override
    public Iterator<Tuple2<K, V>> iterator() {
      throw new UnsupportedOperationException();
    }

    @Override
    public Iterator<K> keys() {
      throw new UnsupportedOperationException();
    }

    @Override
    public Iterator<V> values() {
      throw new UnsupportedOperationException();
    }

    @Override
    public void clear() {
      blocks.remove(key);
    }
  }
}
