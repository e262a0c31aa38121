package cardwatch.engine.decision;

import cardwatch.engine.program.Profile;
import cardwatch.engine.timeline.Timeline;
import java.util.List;

/**
 * Evaluates rules on events of a key from the last one backwards. A rule that fails is set aside: it holds for nothing
 * then.
 */
final class Walk {
  private static final List<Class<? extends Throwable>> MISTAKES =
      List.of(ArithmeticException.class, ClassCastException.class, IllegalArgumentException.class,
          IndexOutOfBoundsException.class, NullPointerException.class, StackOverflowError.class);

  private final RuleEvaluator evaluator;
  private final Ledger ledger;
  private final Touch touch;
  private final boolean profiled;
  private int ordinal;
  private boolean moved;
  private boolean learning;
  private long measuredAt;

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

  /** Whether what follows is for what was there before a rule. */
  void learning(boolean whether) {
    learning = whether;
  }

  /** Go to an event; it costs nothing before a rule is asked for. */
  void moveTo(int ordinal) {
    this.ordinal = ordinal;
    moved = false;
  }

  /** Go through the events for what a rule needs of them. */
  void build(RuleDecision rule) {
    long began = System.nanoTime();
    try {
      evaluator.build(rule.position(), touch.timeline());
    } catch (RuntimeException | StackOverflowError error) {
      if (!isMistake(error)) {
        throw error;
      }
      setAside(rule, error);
    } finally {
      ledger.learned(System.nanoTime() - began);
    }
  }

  /** Whether a rule hits the event. */
  boolean holds(RuleDecision rule) {
    try {
      move();
      return evaluator.holds(rule.position());
    } catch (RuntimeException | StackOverflowError error) {
      if (!isMistake(error)) {
        throw error;
      }
      setAside(rule, error);
      return false;
    } finally {
      measure(rule);
    }
  }

  /** The rule's measures for the event. */
  List<Object> measures(RuleDecision rule) {
    try {
      move();
      return evaluator.measures(rule.position());
    } catch (RuntimeException | StackOverflowError error) {
      if (!isMistake(error)) {
        throw error;
      }
      setAside(rule, error);
      return List.of();
    } finally {
      measure(rule);
    }
  }

  private void setAside(RuleDecision rule, Throwable error) {
    rule.fail();
    ledger.failed(rule.position(), error);
  }

  /**
   * Whether an error is one of a rule's evaluation. All others, as of a state that cannot be read, are not the rule's.
   */
  private static boolean isMistake(Throwable error) {
    for (Class<?> mistake : MISTAKES) {
      if (mistake.isInstance(error)) {
        return true;
      }
    }
    return false;
  }

  /** Count the time since the last one for a rule. */
  private void measure(RuleDecision rule) {
    long now = System.nanoTime();
    if (learning) {
      ledger.learned(now - measuredAt);
    } else {
      ledger.took(rule.position(), now - measuredAt);
    }
    measuredAt = now;
  }

  private void move() {
    if (!moved) {
      moved = true;
      measuredAt = System.nanoTime();
      Timeline timeline = touch.timeline();
      evaluator.moveTo(ordinal, profiled ? touch.profiles().of(timeline.time(ordinal)) : Profile.NONE);
    }
  }
}
