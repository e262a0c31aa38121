package cardwatch.engine.timeline;

import cardwatch.engine.event.Event;
import cardwatch.engine.timeline.paged.PagedTimeline;

/**
 * A timeline that becomes paged as soon as it has more than 64 events, and an array again when it is saved with fewer
 * than 32.
 */
final class AdaptiveTimeline implements Timeline {
  private static final int MOST_IN_ARRAY = 64;
  private static final int FEWEST_IN_PAGES = 32;

  private final BlockStore store;
  private final TrackSet tracks;
  private Timeline current;

  AdaptiveTimeline(BlockStore store, TrackSet tracks, Timeline current) {
    this.store = store;
    this.tracks = tracks;
    this.current = current;
  }

  @Override
  public Insertion insert(Event event) {
    Insertion insertion = current.insert(event);
    if (current instanceof ArrayTimeline array && array.size() > MOST_IN_ARRAY) {
      current = copy(array, array.rulesWithHits(), PagedTimeline.open(new HeadlessStore(store), tracks));
    }
    return insertion;
  }

  @Override
  public void save() {
    if (current instanceof PagedTimeline paged && paged.size() < FEWEST_IN_PAGES) {
      current = copy(paged, paged.rulesWithHits(), ArrayTimeline.open(new HeadlessStore(store), tracks));
      paged.evictUntil(Long.MAX_VALUE); // its blocks go
      paged.save();
    }
    current.save();
  }

  private static Timeline copy(Timeline source, long[] rules, Timeline target) {
    for (int at = 0; at < source.size(); at++) {
      target.insert(source.event(at));
    }
    for (long rule : rules) {
      HitBits from = source.hits(rule);
      HitBits to = target.hits(rule);
      to.knownFrom(from.knownFrom());
      for (int at = from.first(0, source.size()); at >= 0; at = from.first(at + 1, source.size())) {
        to.set(at, true);
      }
    }
    return target;
  }

  @Override
  public int size() {
    return current.size();
  }

  @Override
  public long time(int ordinal) {
    return current.time(ordinal);
  }

  @Override
  public Event event(int ordinal) {
    return current.event(ordinal);
  }

  @Override
  public String id(int ordinal) {
    return current.id(ordinal);
  }

  @Override
  public int find(String transactionId) {
    return current.find(transactionId);
  }

  @Override
  public int firstAfter(long time) {
    return current.firstAfter(time);
  }

  @Override
  public int count(int mask, int from, int to) {
    return current.count(mask, from, to);
  }

  @Override
  public boolean included(int mask, int ordinal) {
    return current.included(mask, ordinal);
  }

  @Override
  public int firstIncluded(int mask, int from, int to) {
    return current.firstIncluded(mask, from, to);
  }

  @Override
  public int lastIncluded(int mask, int from, int to) {
    return current.lastIncluded(mask, from, to);
  }

  @Override
  public long sum(int track, int from, int to) {
    return current.sum(track, from, to);
  }

  @Override
  public double spread(int track, int from, int to) {
    return current.spread(track, from, to);
  }

  @Override
  public long minInteger(int track, int from, int to) {
    return current.minInteger(track, from, to);
  }

  @Override
  public long maxInteger(int track, int from, int to) {
    return current.maxInteger(track, from, to);
  }

  @Override
  public double minNumber(int track, int from, int to) {
    return current.minNumber(track, from, to);
  }

  @Override
  public double maxNumber(int track, int from, int to) {
    return current.maxNumber(track, from, to);
  }

  @Override
  public DistinctCounts distinct(int track) {
    return current.distinct(track);
  }

  @Override
  public int unbuilt(int mask, int track) {
    return current.unbuilt(mask, track);
  }

  @Override
  public void build(int mask, int track) {
    current.build(mask, track);
  }

  @Override
  public HitBits hits(long ruleFingerprint) {
    return current.hits(ruleFingerprint);
  }

  @Override
  public void retainHits(long[] ruleFingerprints) {
    current.retainHits(ruleFingerprints);
  }

  @Override
  public void evictUntil(long time) {
    current.evictUntil(time);
  }
}
