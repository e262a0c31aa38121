package cardwatch.engine.decision;

import cardwatch.engine.event.Event;
import cardwatch.engine.program.Rule;
import cardwatch.engine.timeline.Timeline;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * What comes to a key changes which alerts.
 *
 * <p>The set of alerts is a function of the set of transactions and profiles (docs/rules.md), in whatever order and
 * cuts they come. A touch publishes the difference: what appears is raised or suppressed, what changes its status is
 * published again, what goes is retracted. It decides again only what a change can make a difference to. For one
 * thread.
 */
public final class Decisions {
  /** A rule never waits for fewer events to go through: they take a hundredth of a second. */
  private static final int FEW = 4096;

  private static final double NANOSECONDS = 1e9;

  private final RuleEvaluator evaluator;
  private final long learningBudget;
  private final int evidenceLimit;
  private final Ledger ledger;
  private final boolean profiled;
  private List<Integer> positions;
  private long[] fingerprints;

  /**
   * Decisions by the rules of a scope.
   *
   * @param evidenceLimit how many transaction ids an alert lists at most; the newest ones
   * @param learningSeconds for how long new rules go through what was there before them; when it is spent, they wait
   *     with further keys of more than a few thousand events
   */
  public Decisions(RuleEvaluator evaluator, int evidenceLimit, double learningSeconds) {
    learningBudget = (long) (learningSeconds * NANOSECONDS);
    this.evaluator = evaluator;
    this.evidenceLimit = evidenceLimit;
    ledger = new Ledger(evaluator.rules());
    profiled = evaluator.rules().stream().anyMatch(Rule::usesProfile);
    choose();
  }

  /** What evaluating the rules took, and which of them failed and are set aside. */
  public Ledger ledger() {
    return ledger;
  }

  /**
   * Take what comes to a key, and publish what changes about its alerts. Nothing is saved.
   *
   * @throws IllegalStateException the key's state is damaged, or was written by a later version
   */
  public void decide(Touch touch, Consumer<Transition> publish) {
    touch.timeline().evictUntil(touch.evictUntil());
    touch.profiles().evictUntil(touch.evictUntil());
    Changes changes = Changes.of(touch);
    if (changes.isEmpty()) {
      return;
    }
    // Hits of other rules would not be known any more when the rules come back.
    touch.timeline().retainHits(fingerprints);
    Walk walk = new Walk(evaluator, ledger, touch, profiled);
    List<RuleDecision> rules = new ArrayList<>(positions.size());
    for (int position : positions) {
      RuleDecision rule = new RuleDecision(position, evaluator.rules().get(position), touch, changes);
      if (!rule.isTouched() || !hasToWait(rule, touch.timeline(), walk)) {
        rules.add(rule);
      }
    }
    Redecision redecision = new Redecision(touch, changes, rules, walk);
    ledger.redecided(redecision.run());
    Publication publication = new Publication(touch.timeline(), changes, evidenceLimit);
    for (RuleDecision rule : rules) {
      publication.publish(rule, publish);
    }
    if (ledger.failed() + positions.size() > evaluator.rules().size()) {
      choose();
      touch.timeline().retainHits(fingerprints);
    }
  }

  /**
   * Build what a rule needs; whether it has to wait instead, because this is a new rule on a key with many events and
   * too much time was spent so already. A rule that waits is not there yet for this key, and its turn comes with a
   * later touch: keys with many events are touched often.
   */
  private boolean hasToWait(RuleDecision rule, Timeline timeline, Walk walk) {
    int unbuilt = evaluator.unbuilt(rule.position(), timeline);
    if (rule.isNew() && ledger.learning() > learningBudget && unbuilt + rule.unknown() > FEW) {
      return true;
    }
    if (unbuilt > 0) {
      walk.build(rule);
    }
    return false;
  }

  /** Choose the rules to evaluate: those that have not failed. */
  private void choose() {
    positions = ledger.evaluated();
    fingerprints = positions.stream().mapToLong(at -> evaluator.rules().get(at).fingerprint()).toArray();
  }

  /** Makes transitions of one touch. */
  private record Publication(Timeline timeline, Changes changes, int evidenceLimit) {
    void publish(RuleDecision decision, Consumer<Transition> publish) {
      for (RuleDecision.Appeared hit : decision.appeared()) {
        publish.accept(appeared(decision, hit));
      }
      for (Remembered.Hit hit : decision.gone()) {
        publish.accept(retracted(decision, hit));
      }
    }

    private Transition appeared(RuleDecision decision, RuleDecision.Appeared hit) {
      Rule rule = decision.rule();
      Event event = timeline.event(hit.at());
      boolean raised = hit.at() == hit.alert();
      int from = timeline.firstAfter(event.eventTime() - rule.longestWindowUs());
      int to = timeline.firstAfter(event.eventTime());
      List<String> evidence = new ArrayList<>();
      for (int at = Math.max(from, to - evidenceLimit); at < to; at++) {
        evidence.add(timeline.id(at));
      }
      boolean came = changes.changeAt(hit.at()) != null;
      return new Transition(rule, raised ? Transition.Status.RAISED : Transition.Status.SUPPRESSED, event,
          decision.measures(hit), event.eventTime() - rule.longestWindowUs(), evidence, to - from,
          came ? event.rawBrokerTime() : changes.cause(), raised ? null : timeline.id(hit.alert()));
    }

    private Transition retracted(RuleDecision decision, Remembered.Hit hit) {
      Rule rule = decision.rule();
      int after = changes.after(hit.at());
      Change change = changes.changeAt(after);
      Event event = change == null ? timeline.event(after) : change.replaced();
      List<String> evidence = new ArrayList<>();
      for (int at = Math.max(hit.windowFrom(), hit.windowTo() - evidenceLimit); at < hit.windowTo(); at++) {
        evidence.add(timeline.id(changes.after(at)));
      }
      return new Transition(rule, Transition.Status.RETRACTED, event, decision.before().measures(hit),
          event.eventTime() - rule.longestWindowUs(), evidence, hit.windowTo() - hit.windowFrom(), changes.cause(),
          null);
    }
  }
}
