package cardwatch.engine.timeline;

/** The hits of one rule in an {@link ArrayTimeline}. */
final class RuleHits implements HitBits {
  final long rule;
  final OrdinalBits bits;
  private final Runnable onChange;
  private long knownFrom;

  /** Hits as they were stored; {@code onChange} is run before each change. */
  RuleHits(long rule, long knownFrom, OrdinalBits bits, Runnable onChange) {
    this.rule = rule;
    this.knownFrom = knownFrom;
    this.bits = bits;
    this.onChange = onChange;
  }

  @Override
  public long knownFrom() {
    return knownFrom;
  }

  @Override
  public void knownFrom(long time) {
    if (time != knownFrom) {
      onChange.run();
      knownFrom = time;
    }
  }

  @Override
  public boolean get(int ordinal) {
    return bits.get(ordinal);
  }

  @Override
  public void set(int ordinal, boolean hit) {
    if (bits.get(ordinal) != hit) {
      onChange.run();
      bits.set(ordinal, hit);
    }
  }

  @Override
  public int first(int from, int to) {
    return bits.first(from, to);
  }

  @Override
  public int last(int from, int to) {
    return bits.last(from, to);
  }
}
