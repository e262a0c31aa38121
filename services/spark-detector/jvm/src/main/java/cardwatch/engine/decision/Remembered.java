package cardwatch.engine.decision;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The hits of a rule that stood before a touch where it can change them. Ordinals are those of before. */
final class Remembered {
  /**
   * A hit.
   *
   * @param at its ordinal
   * @param alert the ordinal of the hit whose alert it is counted on; its own if it raises one
   * @param windowFrom where the rule's longest window begins
   * @param windowTo where it ends
   */
  record Hit(int at, int alert, int windowFrom, int windowTo) {}

  private final List<Hit> hits = new ArrayList<>();
  private final Map<Integer, List<Object>> measures = new HashMap<>();
  private final Map<Integer, Integer> alerts = new HashMap<>();
  private final Changes changes;

  Remembered(Changes changes) {
    this.changes = changes;
  }

  /** Add a hit that is later than those before. */
  void add(Hit hit) {
    hits.add(hit);
    alerts.put(changes.after(hit.at()), changes.after(hit.alert()));
  }

  /** In their order. */
  List<Hit> hits() {
    return hits;
  }

  /** Keep the measures of a hit that may go. */
  void keep(int at, List<Object> values) {
    measures.put(at, values);
  }

  /** The measures of a hit that were kept. */
  List<Object> measures(Hit hit) {
    List<Object> values = measures.get(hit.at());
    if (values == null) {
      throw new IllegalStateException("hit " + hit.at() + " goes although nothing in its window has changed");
    }
    return values;
  }

  /** Whether a hit stood that had the same status. Ordinals are those of after the touch. */
  boolean stood(int at, int alert) {
    Integer known = alerts.get(at);
    return known != null && known == alert;
  }
}
