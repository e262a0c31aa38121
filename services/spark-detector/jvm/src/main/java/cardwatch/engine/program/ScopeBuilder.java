package cardwatch.engine.program;

import cardwatch.engine.timeline.Mask;
import cardwatch.engine.timeline.Track;
import cardwatch.engine.timeline.TrackSet;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Collects the rules of a scope; what several of them need is there once. */
final class ScopeBuilder {
  private final String scope;
  private final List<Rule> rules = new ArrayList<>();
  private final List<Mask> masks = new ArrayList<>();
  private final Map<Long, Integer> maskPositions = new LinkedHashMap<>();
  private final Map<Track, Integer> tracks = new LinkedHashMap<>();
  private final Map<Measure.Computation, Integer> slots = new LinkedHashMap<>();

  ScopeBuilder(String scope) {
    this.scope = scope;
  }

  int mask(Mask mask) {
    Integer known = maskPositions.putIfAbsent(mask.fingerprint(), masks.size());
    if (known != null) {
      return known;
    }
    masks.add(mask);
    return masks.size() - 1;
  }

  int track(Track track) {
    return position(tracks, track);
  }

  int slot(Measure.Computation computation) {
    return position(slots, computation);
  }

  void add(Rule rule) {
    rules.add(rule);
  }

  ScopeProgram build() {
    TrackSet set = new TrackSet(masks, List.copyOf(tracks.keySet()));
    return new ScopeProgram(scope, rules, set, List.copyOf(slots.keySet()));
  }

  private static <T> int position(Map<T, Integer> positions, T value) {
    Integer known = positions.putIfAbsent(value, positions.size());
    return known != null ? known : positions.size() - 1;
  }
}
