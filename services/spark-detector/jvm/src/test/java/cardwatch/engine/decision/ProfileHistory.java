package cardwatch.engine.decision;

import cardwatch.engine.event.Event;
import cardwatch.engine.program.Profile;
import cardwatch.engine.program.Rule;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The profiles that came to a card, and which of them a rule has for a transaction: the last one that came before the
 * transaction, or when all was still there that decides about the transaction.
 */
final class ProfileHistory {
  private record Update(int touch, Profile profile, long evictUntil) {}

  private final Map<Long, List<Update>> byDay = new HashMap<>();
  private final Map<String, Integer> seen = new HashMap<>();
  private int touches;

  /** Take what comes at once; returns whether it brings a profile that is new and that some transaction may have. */
  boolean take(List<Event> events, List<ProfileArrival> arrivals, long evictUntil) {
    touches++;
    events.forEach(event -> seen.putIfAbsent(event.id(), touches));
    Map<Long, ProfileArrival> winners = new HashMap<>();
    for (ProfileArrival one : arrivals) {
      ProfileArrival other = winners.get(one.validOn());
      if (other == null || one.transactions() >= other.transactions()) {
        winners.put(one.validOn(), one);
      }
    }
    boolean changed = false;
    for (ProfileArrival one : winners.values()) {
      List<Update> updates = byDay.computeIfAbsent(one.validOn(), day -> new ArrayList<>());
      Profile known = updates.isEmpty() ? Profile.NONE : updates.get(updates.size() - 1).profile();
      boolean over = one.validOn() + Profiles.DAY - 1 <= evictUntil;
      changed |= !over && !known.equals(one.profile());
      updates.add(new Update(touches, one.profile(), evictUntil));
    }
    return changed;
  }

  /** The profile that a rule has for a transaction. */
  Profile of(Rule rule, Event event) {
    long reach = rule.longestWindowUs() + 7 * rule.suppressUs();
    Profile profile = Profile.NONE;
    for (Update update : byDay.getOrDefault(Touch.dayOf(event.eventTime()), List.of())) {
      if (update.touch() <= seen.get(event.id()) || event.eventTime() - reach >= update.evictUntil()) {
        profile = update.profile();
      }
    }
    return profile;
  }
}
