package cardwatch.engine.timeline;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.event.Event;
import java.util.ArrayList;
import java.util.List;

/**
 * A timeline that is one value: all events of a key, and for each mask and each rule a bit per event. Queries go
 * through the events of their range, so it is for keys with few events, as most cards are.
 */
public final class ArrayTimeline implements Timeline {
  /** The first byte of its head. */
  public static final int LAYOUT = 1;

  private final BlockStore store;
  private final TrackSet tracks;
  private final PackedEvents events;
  private final OrdinalBits[] included;
  private final List<RuleHits> hits = new ArrayList<>(4);
  private final ArrayRanges ranges;
  private boolean changed;

  private ArrayTimeline(BlockStore store, TrackSet tracks) {
    this.store = store;
    this.tracks = tracks;
    included = new OrdinalBits[tracks.masks().size()];
    byte[] head = store.head();
    ByteReader reader = head == null ? null : new ByteReader(head);
    if (reader != null) {
      reader.requireLayout(LAYOUT, "the state of a key");
    }
    events = reader == null ? new PackedEvents() : new PackedEvents(reader, head);
    ranges = new ArrayRanges(events, tracks, included);
    if (reader == null) {
      buildMasks();
    } else {
      readBits(reader);
    }
  }

  /**
   * The timeline of a key; an empty one if the store has no head.
   *
   * @throws IllegalStateException the head is damaged, was written by a later version, or is not an array
   */
  public static ArrayTimeline open(BlockStore store, TrackSet tracks) {
    return new ArrayTimeline(store, tracks);
  }

  @Override
  public int size() {
    return events.size();
  }

  @Override
  public long time(int ordinal) {
    return events.time(ordinal);
  }

  @Override
  public Event event(int ordinal) {
    return events.event(ordinal);
  }

  @Override
  public String id(int ordinal) {
    return events.id(ordinal);
  }

  @Override
  public int find(String transactionId) {
    return events.find(transactionId);
  }

  @Override
  public int firstAfter(long time) {
    int low = 0;
    int high = events.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (time(middle) > time) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  @Override
  public Insertion insert(Event event) {
    int present = find(event.id());
    if (present < 0) {
      add(event);
      return new Insertion(Insertion.Outcome.ADDED, null);
    }
    Event other = events.event(present);
    if (other.compareContent(event) <= 0) {
      return new Insertion(Insertion.Outcome.KEPT, null);
    }
    remove(present, present + 1);
    add(event);
    return new Insertion(Insertion.Outcome.REPLACED, other);
  }

  @Override
  public int count(int mask, int from, int to) {
    return included[mask].count(from, to);
  }

  @Override
  public boolean included(int mask, int ordinal) {
    return included[mask].get(ordinal);
  }

  @Override
  public int firstIncluded(int mask, int from, int to) {
    return included[mask].first(from, to);
  }

  @Override
  public int lastIncluded(int mask, int from, int to) {
    return included[mask].last(from, to);
  }

  @Override
  public long sum(int track, int from, int to) {
    return ranges.sum(track, from, to);
  }

  @Override
  public double spread(int track, int from, int to) {
    return ranges.spread(track, from, to);
  }

  @Override
  public long minInteger(int track, int from, int to) {
    return ranges.extremeInteger(track, from, to, -1);
  }

  @Override
  public long maxInteger(int track, int from, int to) {
    return ranges.extremeInteger(track, from, to, 1);
  }

  @Override
  public double minNumber(int track, int from, int to) {
    return ranges.extremeNumber(track, from, to, -1);
  }

  @Override
  public double maxNumber(int track, int from, int to) {
    return ranges.extremeNumber(track, from, to, 1);
  }

  @Override
  public DistinctCounts distinct(int track) {
    return ranges.distinct(track);
  }

  @Override
  public int unbuilt(int mask, int track) {
    return 0;
  }

  @Override
  public void build(int mask, int track) {
    // masks are built when the array is opened, and there is nothing else
  }

  @Override
  public HitBits hits(long ruleFingerprint) {
    for (RuleHits one : hits) {
      if (one.rule == ruleFingerprint) {
        return one;
      }
    }
    changed = true;
    RuleHits fresh = new RuleHits(ruleFingerprint, Long.MAX_VALUE, new OrdinalBits(events.size()), this::change);
    hits.add(fresh);
    return fresh;
  }

  @Override
  public void retainHits(long[] ruleFingerprints) {
    for (int at = hits.size() - 1; at >= 0; at--) {
      if (!contains(ruleFingerprints, hits.get(at).rule)) {
        hits.remove(at);
        changed = true;
      }
    }
  }

  private static boolean contains(long[] fingerprints, long wanted) {
    for (long one : fingerprints) {
      if (one == wanted) {
        return true;
      }
    }
    return false;
  }

  /** The fingerprints of the rules whose hits it holds. */
  public long[] rulesWithHits() {
    return hits.stream().mapToLong(one -> one.rule).toArray();
  }

  @Override
  public void evictUntil(long time) {
    int kept = firstAfter(time);
    if (kept > 0) {
      remove(0, kept);
    }
  }

  @Override
  public void save() {
    if (!changed) {
      return;
    }
    store.head(events.size() == 0 ? null : write());
    changed = false;
  }

  private void add(Event event) {
    int at = events.insert(event);
    for (int mask = 0; mask < included.length; mask++) {
      included[mask].insert(at, tracks.masks().get(mask).includes(event));
    }
    for (RuleHits rule : hits) {
      rule.bits.insert(at, false);
    }
    changed = true;
  }

  private void remove(int from, int to) {
    events.remove(from, to);
    for (OrdinalBits bits : included) {
      bits.remove(from, to);
    }
    for (RuleHits rule : hits) {
      rule.bits.remove(from, to);
    }
    changed = true;
  }

  private void change() {
    changed = true;
  }

  private void buildMasks() {
    for (int mask = 0; mask < included.length; mask++) {
      included[mask] = new OrdinalBits(events.size());
      for (int at = 0; at < events.size(); at++) {
        included[mask].set(at, tracks.masks().get(mask).includes(events.event(at)));
      }
    }
  }

  private byte[] write() {
    ByteWriter writer = new ByteWriter(events.bytes()).octet(LAYOUT);
    events.write(writer);
    writer.unsigned(hits.size());
    for (RuleHits rule : hits) {
      rule.write(writer, events.size());
    }
    writer.fixed(masksFingerprint());
    for (OrdinalBits bits : included) {
      bits.write(writer);
    }
    return writer.toBytes();
  }

  private void readBits(ByteReader reader) {
    for (int left = reader.count(); left > 0; left--) {
      hits.add(RuleHits.read(reader, events.size(), this::change));
    }
    if (reader.fixed() != masksFingerprint()) {
      buildMasks();
      return;
    }
    for (int mask = 0; mask < included.length; mask++) {
      included[mask] = OrdinalBits.read(reader, events.size());
    }
  }

  /** Tells the masks, in their order, from others. */
  private long masksFingerprint() {
    long mixed = included.length;
    for (Mask mask : tracks.masks()) {
      mixed = (mixed ^ mask.fingerprint()) * 0x9E3779B97F4A7C15L;
      mixed ^= mixed >>> 29;
    }
    return mixed;
  }
}
