package cardwatch.engine.timeline;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.EventCodec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A timeline that is one value: all events of a key, and for each mask and each rule a bit per event. Queries go
 * through the events of their range, so it is for keys with few events, as most cards are.
 */
public final class ArrayTimeline implements Timeline {
  /** The first byte of its head. */
  public static final int LAYOUT = 1;

  private final BlockStore store;
  private final TrackSet tracks;
  private final List<Event> events = new ArrayList<>();
  private final OrdinalBits[] included;
  private final List<RuleHits> hits = new ArrayList<>();
  private final ArrayRanges ranges;
  private boolean changed;

  private ArrayTimeline(BlockStore store, TrackSet tracks) {
    this.store = store;
    this.tracks = tracks;
    included = new OrdinalBits[tracks.masks().size()];
    ranges = new ArrayRanges(events, tracks, included);
  }

  /**
   * The timeline of a key; an empty one if the store has no head.
   *
   * @throws IllegalStateException the head is damaged, was written by a later version, or is not an array
   */
  public static ArrayTimeline open(BlockStore store, TrackSet tracks) {
    ArrayTimeline timeline = new ArrayTimeline(store, tracks);
    byte[] head = store.head();
    if (head != null) {
      timeline.read(new ByteReader(head));
    }
    timeline.buildMissingMasks();
    return timeline;
  }

  @Override
  public int size() {
    return events.size();
  }

  @Override
  public long time(int ordinal) {
    return events.get(ordinal).eventTime();
  }

  @Override
  public Event event(int ordinal) {
    return events.get(ordinal);
  }

  @Override
  public String id(int ordinal) {
    return events.get(ordinal).id();
  }

  @Override
  public int find(String transactionId) {
    for (int at = events.size() - 1; at >= 0; at--) {
      if (events.get(at).id().equals(transactionId)) {
        return at;
      }
    }
    return -1;
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
    Event other = events.get(present);
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
  public HitBits hits(long ruleFingerprint) {
    for (RuleHits one : hits) {
      if (one.rule == ruleFingerprint) {
        return one;
      }
    }
    changed = true;
    RuleHits fresh = rule(ruleFingerprint, Long.MAX_VALUE, new OrdinalBits(events.size()));
    hits.add(fresh);
    return fresh;
  }

  @Override
  public void retainHits(long[] ruleFingerprints) {
    changed |= hits.removeIf(one -> Arrays.stream(ruleFingerprints).noneMatch(kept -> kept == one.rule));
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
    store.head(events.isEmpty() ? null : write());
    changed = false;
  }

  private void add(Event event) {
    int at = events.size();
    while (at > 0 && events.get(at - 1).compareTo(event) > 0) {
      at--;
    }
    events.add(at, event);
    for (int mask = 0; mask < included.length; mask++) {
      included[mask].insert(at, tracks.masks().get(mask).includes(event));
    }
    for (RuleHits rule : hits) {
      rule.bits.insert(at, false);
    }
    changed = true;
  }

  private void remove(int from, int to) {
    events.subList(from, to).clear();
    for (OrdinalBits bits : included) {
      bits.remove(from, to);
    }
    for (RuleHits rule : hits) {
      rule.bits.remove(from, to);
    }
    changed = true;
  }

  private RuleHits rule(long fingerprint, long knownFrom, OrdinalBits bits) {
    return new RuleHits(fingerprint, knownFrom, bits, () -> changed = true);
  }

  private void buildMissingMasks() {
    for (int mask = 0; mask < included.length; mask++) {
      if (included[mask] == null) {
        included[mask] = new OrdinalBits(events.size());
        for (int at = 0; at < events.size(); at++) {
          included[mask].set(at, tracks.masks().get(mask).includes(events.get(at)));
        }
      }
    }
  }

  private byte[] write() {
    ByteWriter writer = new ByteWriter(256).octet(LAYOUT).block(EventCodec.encode(events));
    writer.unsigned(included.length);
    for (int mask = 0; mask < included.length; mask++) {
      writeBits(writer.fixed(tracks.masks().get(mask).fingerprint()), included[mask]);
    }
    writer.unsigned(hits.size());
    for (RuleHits rule : hits) {
      writeBits(writer.fixed(rule.rule).fixed(rule.knownFrom()), rule.bits);
    }
    return writer.toBytes();
  }

  private void read(ByteReader reader) {
    int layout = reader.octet();
    if (layout != LAYOUT) {
      throw new IllegalStateException("the state of a key has layout " + layout + "; this version reads layout "
          + LAYOUT + ": start the version that wrote it, or a later one");
    }
    events.addAll(EventCodec.decode(reader.block()));
    Map<Long, OrdinalBits> masks = new HashMap<>();
    for (int left = reader.count(); left > 0; left--) {
      masks.put(reader.fixed(), readBits(reader));
    }
    for (int mask = 0; mask < included.length; mask++) {
      included[mask] = masks.get(tracks.masks().get(mask).fingerprint());
    }
    for (int left = reader.count(); left > 0; left--) {
      hits.add(rule(reader.fixed(), reader.fixed(), readBits(reader)));
    }
  }

  private void writeBits(ByteWriter writer, OrdinalBits bits) {
    for (int word = 0; word < OrdinalBits.wordsOf(events.size()); word++) {
      writer.unsigned(bits.words()[word]);
    }
  }

  private OrdinalBits readBits(ByteReader reader) {
    long[] words = new long[OrdinalBits.wordsOf(events.size())];
    for (int word = 0; word < words.length; word++) {
      words[word] = reader.unsigned();
    }
    return new OrdinalBits(events.size(), words);
  }
}
