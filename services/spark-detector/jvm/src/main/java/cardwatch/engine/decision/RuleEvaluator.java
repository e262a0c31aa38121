package cardwatch.engine.decision;

import cardwatch.engine.program.Profile;
import cardwatch.engine.program.Rule;
import cardwatch.engine.timeline.Timeline;
import java.util.List;

/** Evaluates the rules of one scope on one event of a timeline after another. For one thread. */
public interface RuleEvaluator {
  /** The rules; other methods name a rule by its position here. */
  List<Rule> rules();

  /** How many events have to be gone through before a rule can be evaluated on a timeline for the first time. */
  int unbuilt(int rule, Timeline timeline);

  /** Go through them; without it, the first evaluation does. */
  void build(int rule, Timeline timeline);

  /** Go through a timeline, from its end; call it again after an insertion. */
  void begin(Timeline timeline);

  /**
   * Go to an event.
   *
   * @param ordinal not more than in the call before, since {@link #begin}
   * @param profile of the card for the event's day; {@link Profile#NONE} without one
   */
  void moveTo(int ordinal, Profile profile);

  /** Whether the condition of a rule is true for the event. */
  boolean holds(int rule);

  /** The values of a rule's measures for the event, in the rule's order: Long, Double, String or null. */
  List<Object> measures(int rule);
}
