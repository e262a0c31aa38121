package cardwatch.engine.decision;

import cardwatch.engine.event.Event;
import cardwatch.engine.program.Rule;
import java.util.List;

/**
 * A change of one alert.
 *
 * @param rule whose alert
 * @param status what it is now
 * @param event the transaction that is the hit; as it was before the touch, if the alert is retracted
 * @param measures the rule's measures in its order: Long, Double, String or null; those of before, if it is retracted
 * @param windowStart where the rule's longest window begins, microseconds, exclusive
 * @param evidence ids of the newest transactions of that window, the oldest of them first
 * @param evidenceCount how many the window has
 * @param causeBrokerTime when the broker appended what made the difference, microseconds: the transaction itself if it
 *     came with the touch, else the earliest of what came
 * @param countedOn the id of the transaction whose alert a suppressed hit is counted on; else null
 */
public record Transition(Rule rule, Status status, Event event, List<Object> measures, long windowStart,
    List<String> evidence, int evidenceCount, long causeBrokerTime, String countedOn) {
  /** What an alert is. */
  public enum Status { RAISED, SUPPRESSED, RETRACTED }
}
