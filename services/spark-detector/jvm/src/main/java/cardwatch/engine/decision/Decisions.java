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
  private final RuleEvaluator evaluator;
  private final int evidenceLimit;
  private final Ledger ledger;
  private final boolean profiled;
  private List<Integer> positions;
  private long[] fingerprints;

  /**
   * Decisions by the rules of a scope.
   *
   * @param evidenceLimit how many transaction ids an alert lists at most; the newest ones
   */
  public Decisions(RuleEvaluator evaluator, int evidenceLimit) {
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
    List<RuleDecision> rules = new ArrayList<>(positions.size());
    for (int position : positions) {
      rules.add(new RuleDecision(position, evaluator.rules().get(position), touch, changes));
    }
    Redecision redecision = new Redecision(touch, changes, rules, new Walk(evaluator, ledger, touch, profiled));
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
