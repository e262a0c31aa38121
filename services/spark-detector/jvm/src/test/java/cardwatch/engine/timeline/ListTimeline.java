package cardwatch.engine.timeline;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;

/** What a timeline is, said as simply as possible: a sorted list that each query goes through. It is not stored. */
public final class ListTimeline implements Timeline {
  private final List<Event> events = new ArrayList<>();
  private final Map<String, Event> byId = new HashMap<>();
  private final Map<Long, Set<String>> hits = new HashMap<>();
  private final Map<Long, Long> knownFrom = new HashMap<>();
  private TrackSet tracks;

  public ListTimeline(TrackSet tracks) {
    this.tracks = tracks;
  }

  /** Go on with other rules. */
  public void tracks(TrackSet others) {
    tracks = others;
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
    Event event = byId.get(transactionId);
    return event == null ? -1 : Collections.binarySearch(events, event);
  }

  @Override
  public int firstAfter(long time) {
    return IntStream.range(0, size()).filter(at -> time(at) > time).findFirst().orElse(size());
  }

  @Override
  public Insertion insert(Event event) {
    int present = find(event.id());
    if (present >= 0 && event(present).compareContent(event) <= 0) {
      return new Insertion(Insertion.Outcome.KEPT, null);
    }
    Event replaced = present < 0 ? null : events.remove(present);
    hits.values().forEach(ids -> ids.remove(event.id()));
    byId.put(event.id(), event);
    events.add(-Collections.binarySearch(events, event) - 1, event);
    return new Insertion(replaced == null ? Insertion.Outcome.ADDED : Insertion.Outcome.REPLACED, replaced);
  }

  @Override
  public int count(int mask, int from, int to) {
    return (int) in(mask, from, to).count();
  }

  @Override
  public boolean included(int mask, int ordinal) {
    return tracks.masks().get(mask).includes(event(ordinal));
  }

  @Override
  public int firstIncluded(int mask, int from, int to) {
    return in(mask, from, to).min().orElse(-1);
  }

  @Override
  public int lastIncluded(int mask, int from, int to) {
    return in(mask, from, to).max().orElse(-1);
  }

  @Override
  public long sum(int track, int from, int to) {
    return integers(track, from, to).stream().mapToLong(Long::longValue).sum();
  }

  @Override
  public double spread(int track, int from, int to) {
    BigInteger sum = BigInteger.ZERO;
    BigInteger squares = BigInteger.ZERO;
    List<Long> values = integers(track, from, to);
    for (long value : values) {
      sum = sum.add(BigInteger.valueOf(value));
      squares = squares.add(BigInteger.valueOf(value).pow(2));
    }
    return squares.multiply(BigInteger.valueOf(values.size())).subtract(sum.pow(2)).doubleValue();
  }

  @Override
  public long minInteger(int track, int from, int to) {
    return Collections.min(integers(track, from, to));
  }

  @Override
  public long maxInteger(int track, int from, int to) {
    return Collections.max(integers(track, from, to));
  }

  @Override
  public double minNumber(int track, int from, int to) {
    return of(track, from, to).mapToDouble(at -> event(at).number(field(track))).min().getAsDouble();
  }

  @Override
  public double maxNumber(int track, int from, int to) {
    return of(track, from, to).mapToDouble(at -> event(at).number(field(track))).max().getAsDouble();
  }

  @Override
  public DistinctCounts distinct(int track) {
    return (from, to) -> (int) of(track, from, to).mapToObj(at -> value(event(at), field(track))).distinct().count();
  }

  @Override
  public int unbuilt(int mask, int track) {
    return 0;
  }

  @Override
  public void build(int mask, int track) {
    // there is nothing to build
  }

  @Override
  public HitBits hits(long rule) {
    Set<String> ids = hits.computeIfAbsent(rule, fresh -> new HashSet<>());
    return new HitBits() {
      @Override
      public long knownFrom() {
        return knownFrom.getOrDefault(rule, Long.MAX_VALUE);
      }

      @Override
      public void knownFrom(long time) {
        knownFrom.put(rule, time);
      }

      @Override
      public boolean get(int ordinal) {
        return ids.contains(id(ordinal));
      }

      @Override
      public void set(int ordinal, boolean hit) {
        ids.remove(id(ordinal));
        if (hit) {
          ids.add(id(ordinal));
        }
      }

      @Override
      public int first(int from, int to) {
        return IntStream.range(from, to).filter(this::get).min().orElse(-1);
      }

      @Override
      public int last(int from, int to) {
        return IntStream.range(from, to).filter(this::get).max().orElse(-1);
      }
    };
  }

  @Override
  public void retainHits(long[] rules) {
    hits.keySet().removeIf(rule -> IntStream.range(0, rules.length).noneMatch(at -> rules[at] == rule));
    knownFrom.keySet().retainAll(hits.keySet());
  }

  @Override
  public void evictUntil(long time) {
    List<Event> evicted = events.subList(0, firstAfter(time));
    for (Event event : evicted) {
      byId.remove(event.id());
      hits.values().forEach(ids -> ids.remove(event.id()));
    }
    evicted.clear();
  }

  @Override
  public void save() {
    throw new UnsupportedOperationException("it is not stored");
  }

  private Field field(int track) {
    return tracks.tracks().get(track).field();
  }

  private IntStream in(int mask, int from, int to) {
    return IntStream.range(from, to).filter(at -> included(mask, at));
  }

  private IntStream of(int track, int from, int to) {
    return in(tracks.tracks().get(track).mask(), from, to);
  }

  private List<Long> integers(int track, int from, int to) {
    return of(track, from, to).mapToObj(at -> event(at).integer(field(track))).toList();
  }

  private static Object value(Event event, Field field) {
    return switch (field.kind()) {
      case TEXT -> event.text(field);
      case INTEGER -> event.integer(field);
      case DOUBLE -> event.number(field) + 0.0;
    };
  }
}
