package cardwatch.engine.timeline;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;

/** The hits of one rule in an {@link ArrayTimeline}. */
final class RuleHits implements HitBits {
  // Flags of hits that are written.
  private static final int KNOWN_ALWAYS = 1;
  private static final int ANY_HITS = 2;

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

  /** Hits of so many events as {@link #write} has written them; {@code onChange} is run before each change. */
  static RuleHits read(ByteReader reader, int size, Runnable onChange) {
    long rule = reader.fixed();
    int flags = reader.octet();
    long knownFrom = (flags & KNOWN_ALWAYS) != 0 ? Long.MIN_VALUE : reader.fixed();
    OrdinalBits bits = (flags & ANY_HITS) != 0 ? OrdinalBits.read(reader, size) : new OrdinalBits(size);
    return new RuleHits(rule, knownFrom, bits, onChange);
  }

  /** Write the hits of all events, of which there are {@code size}. */
  void write(ByteWriter writer, int size) {
    boolean always = knownFrom == Long.MIN_VALUE;
    boolean any = bits.first(0, size) >= 0;
    writer.fixed(rule).octet((always ? KNOWN_ALWAYS : 0) | (any ? ANY_HITS : 0));
    if (!always) {
      writer.fixed(knownFrom);
    }
    if (any) {
      bits.write(writer);
    }
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
