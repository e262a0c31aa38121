package cardwatch.engine.decision;

import cardwatch.engine.program.Rule;
import cardwatch.engine.timeline.HitBits;
import cardwatch.engine.timeline.Timeline;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What one touch changes about the hits and alerts of one rule. */
final class RuleDecision {
  /**
   * A hit whose status is new.
   *
   * @param at its ordinal
   * @param alert the ordinal of the hit whose alert it is counted on; its own if it raises one
   */
  record Appeared(int at, int alert) {}

  private final int position;
  private final Rule rule;
  private final Timeline timeline;
  private final Changes changes;
  private final long profileFrom;
  private final long from;
  private final long until;
  private final long knownFrom;
  private final long reach;

  private Map<Integer, List<Object>> measures = Map.of();
  private HitBits hits;
  private Suppression suppression;
  private Remembered before;
  private List<Appeared> appeared = List.of();
  private long firstFlip = Long.MAX_VALUE;
  private long lastFlip = Long.MIN_VALUE;
  private boolean failed;

  RuleDecision(int position, Rule rule, Touch touch, Changes changes) {
    this.position = position;
    this.rule = rule;
    this.timeline = touch.timeline();
    this.changes = changes;
    reach = Suppression.REACH * rule.suppressUs();
    boolean profiled = rule.usesProfile() && !changes.profiles().isEmpty();
    // Of earlier transactions of a profile's day not all that decides about them is there any more.
    profileFrom = touch.evictUntil() + rule.longestWindowUs() + reach;
    from = profiled ? Math.min(changes.first(), Math.max(profileFrom, changes.profiles().firstKey())) : changes.first();
    // Of earlier transactions the windows are not whole any more.
    knownFrom = Math.max(from - reach, touch.evictUntil() + rule.longestWindowUs());
    long last = changes.last() + rule.longestWindowUs() - 1;
    until = profiled ? Math.max(last, changes.profiles().lastKey() + Profiles.DAY - 1) : last;
    look();
  }

  int position() {
    return position;
  }

  Rule rule() {
    return rule;
  }

  /** The time of the first event that it may hit or not hit now, microseconds; no event's time if it is not touched. */
  long from() {
    return from;
  }

  /** The time of the last event that it may hit or not hit now, microseconds. */
  long until() {
    return until;
  }

  /** Look at the hits after the timeline has changed. */
  void look() {
    hits = timeline.hits(rule.fingerprint());
    suppression = new Suppression(timeline, hits, rule.suppressUs());
  }

  /** Note that it is set aside: it does nothing any more. */
  void fail() {
    failed = true;
  }

  /** Whether the touch can change anything about it. */
  boolean isTouched() {
    return !failed && from != Long.MAX_VALUE;
  }

  /** The first event whose hit has to be known; the events from there on to {@link #unknownTo} are not. */
  int unknownFrom() {
    return timeline.firstAfter(knownFrom - 1);
  }

  /** See {@link #unknownFrom}. */
  int unknownTo() {
    long known = hits.knownFrom();
    return known == Long.MIN_VALUE ? 0 : timeline.firstAfter(known - 1);
  }

  /** How many events are not known and have to be. */
  int unknown() {
    return Math.max(0, unknownTo() - unknownFrom());
  }

  /** Whether it was never evaluated on this key. */
  boolean isNew() {
    return hits.knownFrom() == Long.MAX_VALUE;
  }

  /** Note that hits are known from there on where they have to be. */
  void learned() {
    long needed = timeline.size() == 0 ? Long.MIN_VALUE : knownFrom;
    if (!failed && needed < hits.knownFrom()) {
      hits.knownFrom(needed);
    }
  }

  /** Evaluate an event whose hit is not known. */
  void learn(int ordinal, Walk walk) {
    hits.set(ordinal, walk.holds(this));
  }

  /** Remember what stands where the touch can change it. */
  void remember() {
    int first = timeline.firstAfter(from - 1);
    if (first == timeline.size()) {
      return;
    }
    before = new Remembered(changes);
    int to = timeline.firstAfter(until + reach);
    for (int at = hits.first(first, to); at >= 0; at = hits.first(at + 1, to)) {
      long time = timeline.time(at);
      int windowFrom = timeline.firstAfter(time - rule.longestWindowUs());
      before.add(new Remembered.Hit(at, suppression.alertOf(at), windowFrom, timeline.firstAfter(time)));
    }
    for (Change change : changes.events()) {
      if (change.replaced() != null && hits.get(change.replacedAt())) {
        flip(change.replaced().eventTime());
        flip(change.event().eventTime());
      }
    }
  }

  /** The hits that stand and may go, in their order. */
  List<Integer> mayGo() {
    if (before == null) {
      return List.of();
    }
    return before.hits().stream().map(Remembered.Hit::at).filter(at -> isAffected(timeline.time(at))).toList();
  }

  /** Keep the measures of a hit that may go. */
  void keepMeasures(int ordinal, Walk walk) {
    before.keep(ordinal, walk.measures(this));
  }

  private boolean isAffected(long time) {
    return isAffected(time, changes.since(time));
  }

  /** Whether a change can make a difference to whether it hits an event. */
  boolean isAffected(long time, long sinceChange) {
    return sinceChange < rule.longestWindowUs()
        || rule.usesProfile() && time >= profileFrom && changes.hasProfileFor(time);
  }

  /** Decide whether it hits an event. */
  void decide(int ordinal, long time, Walk walk) {
    boolean hit = walk.holds(this);
    if (failed || hit == hits.get(ordinal)) {
      return;
    }
    hits.set(ordinal, hit);
    flip(time);
    if (hit) {
      takeMeasures(ordinal, walk);
    }
  }

  private void flip(long time) {
    firstFlip = Math.min(firstFlip, time);
    lastFlip = Math.max(lastFlip, time);
  }

  /** Find the hits whose status is new. */
  void compare() {
    if (failed || firstFlip == Long.MAX_VALUE) {
      return;
    }
    appeared = new ArrayList<>();
    int to = timeline.firstAfter(lastFlip + reach);
    for (int at = hits.first(timeline.firstAfter(firstFlip - 1), to); at >= 0; at = hits.first(at + 1, to)) {
      int alert = suppression.alertOf(at);
      if (before == null || !before.stood(at, alert)) {
        appeared.add(new Appeared(at, alert));
      }
    }
  }

  /** The hits whose status is new and whose measures are not computed yet, in their order. */
  List<Integer> withoutMeasures() {
    return appeared.isEmpty() ? List.of()
                              : appeared.stream().map(Appeared::at).filter(at -> !measures.containsKey(at)).toList();
  }

  /** Take the measures of such a hit. */
  void takeMeasures(int ordinal, Walk walk) {
    if (measures.isEmpty()) {
      measures = new HashMap<>();
    }
    measures.put(ordinal, walk.measures(this));
  }

  /** The hits whose status is new, in their order. */
  List<Appeared> appeared() {
    return failed ? List.of() : appeared;
  }

  /** The measures of a hit whose status is new. */
  List<Object> measures(Appeared hit) {
    return measures.get(hit.at());
  }

  /** What stood before; null if nothing stood where the touch can make a difference. */
  Remembered before() {
    return before;
  }

  /** The hits that stood before and are none any more, in their order. */
  List<Remembered.Hit> gone() {
    if (failed || before == null || firstFlip == Long.MAX_VALUE) {
      return List.of();
    }
    return before.hits().stream().filter(hit -> !hits.get(changes.after(hit.at()))).toList();
  }
}
