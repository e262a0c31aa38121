package cardwatch.engine.decision;

import cardwatch.engine.program.Profile;
import cardwatch.engine.timeline.Timeline;
import java.util.List;
import java.util.function.Supplier;

/**
 * Evaluates rules on events of a key from the last one backwards. A rule that fails is set aside: it holds for nothing
 * then.
 */
final class Walk {
  private final RuleEvaluator evaluator;
  private final Ledger ledger;
  private final Touch touch;
  private final boolean profiled;
  private int ordinal;
  private boolean moved;

  /**
   * A walk through the events of a touch's key.
   *
   * @param profiled whether any rule uses profiles
   */
  Walk(RuleEvaluator evaluator, Ledger ledger, Touch touch, boolean profiled) {
    this.evaluator = evaluator;
    this.ledger = ledger;
    this.touch = touch;
    this.profiled = profiled;
  }

  /** Begin again from the last event. */
  void begin() {
    evaluator.begin(touch.timeline());
  }

  /** Go to an event; it costs nothing before a rule is asked for. */
  void moveTo(int ordinal) {
    this.ordinal = ordinal;
    moved = false;
  }

  /** Whether a rule hits the event. */
  boolean holds(RuleDecision rule) {
    return attempt(rule, () -> evaluator.holds(rule.position()), false);
  }

  /** The rule's measures for the event. */
  List<Object> measures(RuleDecision rule) {
    return attempt(rule, () -> evaluator.measures(rule.position()), List.of());
  }

  private <T> T attempt(RuleDecision rule, Supplier<T> step, T otherwise) {
    long began = System.nanoTime();
    try {
      move();
      return step.get();
    } catch (ArithmeticException | ClassCastException | IllegalArgumentException | IndexOutOfBoundsException
        | NullPointerException | StackOverflowError error) {
      // Mistakes of a rule's evaluation. All others, as of a state that cannot be read, are not the rule's.
      rule.fail();
      ledger.failed(rule.position(), error);
      return otherwise;
    } finally {
      ledger.took(rule.position(), System.nanoTime() - began);
    }
  }

  private void move() {
    if (!moved) {
      moved = true;
      Timeline timeline = touch.timeline();
      evaluator.moveTo(ordinal, profiled ? touch.profiles().of(timeline.time(ordinal)) : Profile.NONE);
    }
  }
}
