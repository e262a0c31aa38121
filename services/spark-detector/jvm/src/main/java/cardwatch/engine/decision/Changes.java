package cardwatch.engine.decision;

import cardwatch.engine.event.Event;
import cardwatch.engine.program.Profile;
import cardwatch.engine.timeline.Timeline;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a touch changes in a key, found before anything is changed: duplicates change nothing, and of two arrivals of
 * one transaction that differ the smaller one is taken.
 *
 * <p>An event has an ordinal before the touch and one after it; {@link #after} tells the one from the other.
 */
final class Changes {
  private final List<Change> events = new ArrayList<>(4);
  private SortedMap<Long, Profile> profiles = Collections.emptySortedMap();
  private int[] replaced = {};
  private long[] moments = {};
  private long cause = Long.MAX_VALUE;

  private Changes() {}

  /** What a touch changes. */
  static Changes of(Touch touch) {
    Changes changes = new Changes();
    for (Event event : smallest(touch.events())) {
      changes.add(touch.timeline(), event);
    }
    changes.index();
    if (!touch.profileArrivals().isEmpty()) {
      changes.addProfiles(touch);
    }
    return changes;
  }

  boolean isEmpty() {
    return events.isEmpty() && profiles.isEmpty();
  }

  /** The changed transactions in their order after the touch. */
  List<Change> events() {
    return events;
  }

  /** The changed profiles by the beginnings of their days. */
  SortedMap<Long, Profile> profiles() {
    return profiles;
  }

  /** The earliest broker time of what came, microseconds. */
  long cause() {
    return cause;
  }

  /** The earliest time of a transaction that came or went, microseconds; Long.MAX_VALUE if none did. */
  long first() {
    return moments.length == 0 ? Long.MAX_VALUE : moments[0];
  }

  /** The latest time of a transaction that came or went, microseconds; Long.MIN_VALUE / 2 if none did. */
  long last() {
    return moments.length == 0 ? Long.MIN_VALUE / 2 : moments[moments.length - 1];
  }

  /** Whether there is a new profile for the day that a time is in. */
  boolean hasProfileFor(long time) {
    return !profiles.isEmpty() && profiles.containsKey(Touch.dayOf(time));
  }

  /** How long ago the latest change of a transaction was at a time, microseconds; very long if there was none. */
  long since(long time) {
    int low = 0;
    int high = moments.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (moments[middle] <= time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low == 0 ? Long.MAX_VALUE : time - moments[low - 1];
  }

  /** The ordinal that an event has after the touch. */
  int after(int before) {
    int removed = countBelow(replaced, before);
    if (removed < replaced.length && replaced[removed] == before) {
      for (int at = 0; at < events.size(); at++) {
        if (events.get(at).replacedAt() == before) {
          return inserted(at);
        }
      }
    }
    int low = 0;
    int high = events.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (events.get(middle).insertedAt() <= before) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return before - removed + low;
  }

  /** The ordinal after the touch of a changed transaction, by its position in {@link #events}. */
  int inserted(int change) {
    int at = events.get(change).insertedAt();
    return at - countBelow(replaced, at) + change;
  }

  /** The transaction that was replaced at an ordinal after the touch; null if none was. */
  Change changeAt(int after) {
    int low = 0;
    int high = events.size() - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      int at = inserted(middle);
      if (at == after) {
        return events.get(middle);
      }
      if (at < after) {
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    return null;
  }

  private static Collection<Event> smallest(List<Event> arrivals) {
    if (arrivals.size() < 2) {
      return arrivals;
    }
    Map<String, Event> byId = new LinkedHashMap<>();
    for (Event event : arrivals) {
      byId.merge(event.id(), event, (one, two) -> two.compareContent(one) < 0 ? two : one);
    }
    return byId.values();
  }

  private void add(Timeline timeline, Event event) {
    int present = timeline.find(event.id());
    Event known = present < 0 ? null : timeline.event(present);
    // A difference in nothing but the broker time makes none to any alert.
    if (known != null && event.compareFields(known) >= 0) {
      return;
    }
    int at = timeline.firstAfter(event.eventTime());
    while (at > 0 && timeline.time(at - 1) == event.eventTime()
        && Event.compareTexts(timeline.id(at - 1), event.id()) >= 0) {
      at--;
    }
    events.add(new Change(event, known, present, at));
    cause = Math.min(cause, event.rawBrokerTime());
  }

  private void index() {
    if (events.size() > 1) {
      events.sort(Comparator.comparing(Change::event));
    }
    int replacing = 0;
    for (Change change : events) {
      replacing += change.replaced() == null ? 0 : 1;
    }
    moments = new long[events.size() + replacing];
    for (int at = 0; at < events.size(); at++) {
      moments[at] = events.get(at).event().eventTime();
    }
    if (replacing > 0) {
      indexReplaced(replacing);
    }
  }

  private void indexReplaced(int number) {
    replaced = new int[number];
    int found = 0;
    for (Change change : events) {
      if (change.replaced() != null) {
        replaced[found] = change.replacedAt();
        moments[events.size() + found] = change.replaced().eventTime();
        found++;
      }
    }
    Arrays.sort(replaced);
    Arrays.sort(moments);
  }

  /** Of several that come together for a day, the one of more transactions is the later one. */
  private void addProfiles(Touch touch) {
    Map<Long, ProfileArrival> winners = new HashMap<>();
    for (ProfileArrival arrival : touch.profileArrivals()) {
      winners.merge(arrival.validOn(), arrival, (one, two) -> two.transactions() >= one.transactions() ? two : one);
    }
    profiles = new TreeMap<>();
    for (ProfileArrival arrival : winners.values()) {
      boolean over = arrival.validOn() + Profiles.DAY - 1 <= touch.evictUntil();
      if (!over && !arrival.profile().equals(touch.profiles().of(arrival.validOn()))) {
        profiles.put(arrival.validOn(), arrival.profile());
        cause = Math.min(cause, arrival.arrivedAt());
      }
    }
  }

  private static int countBelow(int[] sorted, int value) {
    int at = Arrays.binarySearch(sorted, value);
    return at < 0 ? -at - 1 : at;
  }
}
