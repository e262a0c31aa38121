package cardwatch.engine.decision;

import cardwatch.engine.timeline.Timeline;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Function;

/**
 * Decides again what one touch can change, rule by rule, event by event:
 *
 * <ol>
 *   <li>Hits that have to be known and are not, as of a new rule, are evaluated before anything changes. So a changed
 * rule by itself raises and retracts nothing. <li>Where events lie behind the first change, what stands there is
 * remembered. <li>The changes are made. <li>Events in whose window a change lies are evaluated, from the last one
 * backwards, as views of distinct values want it. <li>Where a hit came or went, alerts are compared with those of
 * before, as far as suppression reaches.
 * </ol>
 */
final class Redecision {
  private final Touch touch;
  private final Changes changes;
  private final List<RuleDecision> rules;
  private final Walk walk;

  Redecision(Touch touch, Changes changes, List<RuleDecision> rules, Walk walk) {
    this.touch = touch;
    this.changes = changes;
    this.rules = rules;
    this.walk = walk;
  }

  /** Do it; the rules know then what has appeared and gone. Returns how many events were decided again. */
  long run() {
    learn();
    for (RuleDecision rule : rules) {
      if (rule.isTouched()) {
        rule.remember();
      }
    }
    visit(RuleDecision::mayGo, RuleDecision::keepMeasures);
    change();
    long again = evaluate();
    rules.forEach(RuleDecision::compare);
    visit(RuleDecision::withoutMeasures, RuleDecision::takeMeasures);
    return again;
  }

  private void learn() {
    int first = Integer.MAX_VALUE;
    int end = 0;
    for (RuleDecision rule : rules) {
      if (rule.isTouched() && rule.unknownFrom() < rule.unknownTo()) {
        first = Math.min(first, rule.unknownFrom());
        end = Math.max(end, rule.unknownTo());
      }
    }
    if (first < end) {
      walk.begin();
      walk.learning(true);
    }
    for (int at = end - 1; at >= first; at--) {
      walk.moveTo(at);
      for (RuleDecision rule : rules) {
        if (rule.isTouched() && rule.unknownFrom() <= at && at < rule.unknownTo()) {
          rule.learn(at, walk);
        }
      }
    }
    walk.learning(false);
    for (RuleDecision rule : rules) {
      if (rule.isTouched()) {
        rule.learned();
      }
    }
  }

  private void change() {
    Timeline timeline = touch.timeline();
    changes.events().forEach(change -> timeline.insert(change.event()));
    changes.profiles().forEach(touch.profiles()::put);
    rules.forEach(RuleDecision::look);
  }

  private long evaluate() {
    Timeline timeline = touch.timeline();
    long longest = 0;
    long from = Long.MAX_VALUE;
    long until = Long.MIN_VALUE;
    for (RuleDecision rule : rules) {
      if (rule.isTouched()) {
        longest = Math.max(longest, rule.rule().longestWindowUs());
        from = Math.min(from, rule.from());
        until = Math.max(until, rule.until());
      }
    }
    if (longest == 0) {
      return 0;
    }
    walk.begin();
    int first = timeline.firstAfter(from - 1);
    int again = 0;
    for (int at = timeline.firstAfter(until) - 1; at >= first; at--) {
      again += evaluate(at) ? 1 : 0;
    }
    return again;
  }

  /**
   * Evaluate an event by the rules to which a change can make a difference; whether it is an old event and there are
   * any.
   */
  private boolean evaluate(int ordinal) {
    long time = touch.timeline().time(ordinal);
    long since = changes.since(time);
    boolean any = false;
    walk.moveTo(ordinal);
    for (RuleDecision rule : rules) {
      if (rule.isTouched() && rule.isAffected(time, since)) {
        rule.decide(ordinal, time, walk);
        any = true;
      }
    }
    return any && (since != 0 || changes.changeAt(ordinal) == null);
  }

  /** Go through events that rules ask for, from the last one backwards. */
  private void visit(Function<RuleDecision, List<Integer>> wanted, Visit visit) {
    record Stop(int ordinal, RuleDecision rule) {}

    List<Stop> stops = List.of();
    for (RuleDecision rule : rules) {
      List<Integer> ordinals = rule.isTouched() ? wanted.apply(rule) : List.of();
      if (stops.isEmpty() && !ordinals.isEmpty()) {
        stops = new ArrayList<>();
      }
      for (int ordinal : ordinals) {
        stops.add(new Stop(ordinal, rule));
      }
    }
    if (stops.isEmpty()) {
      return;
    }
    stops.sort(Comparator.comparingInt(Stop::ordinal).reversed());
    walk.begin();
    for (Stop stop : stops) {
      if (stop.rule().isTouched()) {
        walk.moveTo(stop.ordinal());
        visit.visit(stop.rule(), stop.ordinal(), walk);
      }
    }
  }

  private interface Visit {
    void visit(RuleDecision rule, int ordinal, Walk walk);
  }
}
