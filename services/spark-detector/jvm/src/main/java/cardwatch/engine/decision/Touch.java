package cardwatch.engine.decision;

import cardwatch.engine.event.Event;
import cardwatch.engine.timeline.Timeline;
import java.util.List;

/**
 * What comes to one key at once.
 *
 * @param timeline of the key
 * @param profiles of the key
 * @param events the transactions that came, in any order, duplicates included; none is as old as what is evicted
 * @param profileArrivals the profiles that came, in their order
 * @param evictUntil transactions that are not later go first, microseconds. No window or suppression of a later call
 *     may need them: arrivals are later than this by a rule's longest window and seven times its {@code suppress}
 */
public record Touch(
    Timeline timeline, Profiles profiles, List<Event> events, List<ProfileArrival> profileArrivals, long evictUntil) {
  /** The day that a time is in: its beginning, microseconds. */
  static long dayOf(long time) {
    return time - Math.floorMod(time, Profiles.DAY);
  }
}
