package cardwatch.engine.spark;

import cardwatch.engine.decision.Decisions;
import cardwatch.engine.decision.Ledger;
import cardwatch.engine.decision.ProfileArrival;
import cardwatch.engine.decision.Profiles;
import cardwatch.engine.decision.ProgramEvaluator;
import cardwatch.engine.decision.Touch;
import cardwatch.engine.decision.Transition;
import cardwatch.engine.event.Event;
import cardwatch.engine.program.ScopeProgram;
import cardwatch.engine.timeline.BlockStore;
import cardwatch.engine.timeline.Timeline;
import cardwatch.engine.timeline.Timelines;
import cardwatch.engine.timeline.TrackSet;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** The rules of one scope in one task, applied to one key after the other. Times are microseconds. */
final class ScopeEngine {
  // Of a task, in which new rules go through the history of busy keys; a micro-batch takes at most so much longer, and
  // what one key takes: 5 to 10 seconds for a million transactions.
  private static final double LEARNING_SECONDS = 0.5;

  private final Options.Scope scope;
  private final ScopeProgram program;
  private final Decisions decisions;

  /** The rules of a scope; a null program if it has none. */
  ScopeEngine(Options.Scope scope, ScopeProgram program, int evidenceLimit) {
    this.scope = scope;
    this.program = program != null
        ? program
        : new ScopeProgram(scope.name(), List.of(), new TrackSet(List.of(), List.of()), List.of());
    decisions = new Decisions(new ProgramEvaluator(this.program), evidenceLimit, LEARNING_SECONDS);
  }

  /** How far back from an arrival its windows and suppression reach. */
  long horizonUs() {
    return scope.horizonUs();
  }

  /** What evaluating its rules took in this task. */
  Ledger ledger() {
    return decisions.ledger();
  }

  /** The state of a key. */
  Key open(BlockStore store) {
    return new Key(Timelines.open(store, program.tracks()), Profiles.open(store));
  }

  /**
   * Take what comes to a key, and save.
   *
   * @param now what profiles change is counted from then
   */
  void touch(Key key, List<Event> events, List<Arrival> profileArrivals, long watermark, long now,
      Consumer<Transition> publish) {
    List<ProfileArrival> profiles = new ArrayList<>(profileArrivals.size());
    for (Arrival arrival : profileArrivals) {
      if (Profiles.endOfDay(arrival.time()) > evictUntil(watermark)) {
        profiles.add(new ProfileArrival(arrival.time(), now, arrival.profile()));
      }
    }
    decisions.decide(new Touch(key.timeline(), key.profiles(), events, profiles, evictUntil(watermark)), publish);
    key.save();
  }

  /** Remove from a key what no later arrival can need, and save. */
  void evict(Key key, long watermark) {
    key.timeline().evictUntil(evictUntil(watermark));
    if (!key.profiles().isEmpty()) {
      key.profiles().evictUntil(evictUntil(watermark));
    }
    key.save();
  }

  private long evictUntil(long watermark) {
    return watermark - scope.horizonUs();
  }

  /** The state of one key. */
  record Key(Timeline timeline, Profiles profiles) {
    /** Whether it holds nothing. Profiles are read only where there is no transaction. */
    boolean isEmpty() {
      return timeline.size() == 0 && profiles.isEmpty();
    }

    /** The time of the last transaction, or the end of the last day with a profile, of a key that is not empty. */
    long end() {
      long last = timeline.size() == 0 ? Long.MIN_VALUE : timeline.time(timeline.size() - 1);
      return profiles.isEmpty() ? last : Math.max(last, profiles.end());
    }

    private void save() {
      timeline.save();
      profiles.save();
    }
  }
}
