package cardwatch.engine.decision;

import cardwatch.engine.decision.Transition.Status;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.program.Profile;
import cardwatch.engine.program.Rule;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BiFunction;

/** The alerts of a set of transactions and profiles as docs/rules.md defines them, computed from nothing. */
final class NaiveAlerts {
  /** An alert by the id of its rule and of its transaction. */
  record Key(String rule, String transaction) {}

  /** What an alert shows. */
  record Alert(Status status, String countedOn, Event event, List<Object> measures, List<Event> window) {
    boolean hasStatusOf(Alert other) {
      return other != null && status == other.status && Objects.equals(countedOn, other.countedOn);
    }
  }

  final List<Event> events;
  private final BiFunction<Rule, Event, Profile> profiles;

  /** The alerts of what came, with the profile that a rule has for an event. */
  NaiveAlerts(List<Event> arrivals, BiFunction<Rule, Event, Profile> profiles) {
    Map<String, Event> smallest = new HashMap<>();
    for (Event event : arrivals) {
      Event known = smallest.get(event.id());
      if (known == null || event.compareContent(known) < 0) {
        smallest.put(event.id(), event);
      }
    }
    events = List.copyOf(new TreeSet<>(smallest.values()));
    this.profiles = profiles;
  }

  Map<Key, Alert> alerts(List<ExampleRules.Example> rules) {
    Map<Key, Alert> alerts = new HashMap<>();
    for (ExampleRules.Example example : rules) {
      List<Event> hits = new ArrayList<>();
      for (Event event : events) {
        if (example.when().holds(event, measures(example, event), profiles.apply(example.rule(), event))) {
          hits.add(event);
        }
      }
      classify(example, hits, alerts);
    }
    return alerts;
  }

  private void classify(ExampleRules.Example example, List<Event> hits, Map<Key, Alert> alerts) {
    Rule rule = example.rule();
    long length = rule.suppressUs();
    long opening = 0;
    Set<Long> slots = new HashSet<>();
    Event latest = null;
    for (int at = 0; at < hits.size(); at++) {
      Event hit = hits.get(at);
      long time = hit.eventTime();
      boolean opens = length == 0 || at == 0 || hits.get(at - 1).eventTime() <= time - length;
      boolean raises = opens;
      if (opens) {
        opening = time;
      } else if (opening <= time - length && Math.floorMod(time, 2 * length) < length) {
        raises = slots.add(Math.floorDiv(time, 2 * length));
      }
      latest = raises ? hit : latest;
      alerts.put(new Key(rule.id(), hit.id()),
          new Alert(raises ? Status.RAISED : Status.SUPPRESSED, raises ? null : latest.id(), hit,
              measures(example, hit), window(hit, rule.longestWindowUs())));
    }
  }

  private List<Event> window(Event last, long length) {
    int from = 0;
    while (events.get(from).eventTime() <= last.eventTime() - length) {
      from++;
    }
    int to = from;
    while (to < events.size() && events.get(to).eventTime() <= last.eventTime()) {
      to++;
    }
    return events.subList(from, to);
  }

  private List<Object> measures(ExampleRules.Example example, Event event) {
    List<Object> values = new ArrayList<>();
    example.measures().forEach(measure -> values.add(value(measure, event)));
    return values;
  }

  private Object value(ExampleRules.Wanted measure, Event event) {
    List<Event> window = window(event, measure.window());
    return switch (measure.kind()) {
      case COUNT -> (long) window.size();
      case SUM_AT_TERMINALS -> {
        long sum = 0;
        for (Event one : window) {
          sum += "pos".equals(one.text(Field.CHANNEL)) ? one.integer(Field.AMOUNT_MINOR) : 0;
        }
        yield sum;
      }
      case COUNTRIES -> {
        Set<String> countries = new HashSet<>();
        window.forEach(one -> countries.add(one.text(Field.COUNTRY)));
        countries.remove(null);
        yield(long) countries.size();
      }
      case PREVIOUS_AMOUNT -> {
        Object previous = null;
        for (Event one : window) {
          previous = one.compareTo(event) < 0 ? (Object) one.integer(Field.AMOUNT_MINOR) : previous;
        }
        yield previous;
      }
    };
  }
}
