package cardwatch.engine.timeline;

/** The state of a key whose head belongs to another kind of timeline and is going to be overwritten. */
final class HeadlessStore implements BlockStore {
  private final BlockStore store;

  HeadlessStore(BlockStore store) {
    this.store = store;
  }

  @Override
  public byte[] head() {
    return null;
  }

  @Override
  public void head(byte[] bytes) {
    store.head(bytes);
  }

  @Override
  public byte[] get(byte[] key) {
    return store.get(key);
  }

  @Override
  public void put(byte[] key, byte[] value) {
    store.put(key, value);
  }

  @Override
  public void remove(byte[] key) {
    store.remove(key);
  }
}
