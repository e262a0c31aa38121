package cardwatch.engine.decision;

import static cardwatch.engine.decision.ExampleRules.HOUR;
import static cardwatch.engine.decision.ExampleRules.MINUTE;
import static org.junit.jupiter.api.Assertions.assertEquals;

import cardwatch.engine.decision.ExampleRules.Example;
import cardwatch.engine.decision.NaiveAlerts.Alert;
import cardwatch.engine.decision.NaiveAlerts.Key;
import cardwatch.engine.decision.Transition.Status;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.program.Profile;
import cardwatch.engine.timeline.BlockStore;
import cardwatch.engine.timeline.MemoryStore;
import cardwatch.engine.timeline.Timeline;
import cardwatch.engine.timeline.TrackSet;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BiFunction;
import java.util.stream.IntStream;

/**
 * One random history of one key: transactions out of order, twice, twice with other contents, profiles late and again,
 * cut into touches, with changes of rules and saving and opening in between; in some, the first ones are loaded without
 * rules, as a lost state is. Each touch is compared with the difference of the naive alerts before and after it.
 */
final class RandomHistory {
  private static final int EVIDENCE = 4;
  private static final long MIDNIGHT = 20_000 * Profiles.DAY;

  /** Something that comes, and when. */
  private record Arrival(long at, Event event, ProfileArrival profile) {
    long concerns() {
      return event != null ? event.eventTime() : profile.validOn();
    }
  }

  private final Random chance;
  private final BiFunction<BlockStore, TrackSet, Timeline> open;
  private final SeenChanges seen;
  private final MemoryStore store = new MemoryStore();
  private final String name;

  private final List<Event> events = new ArrayList<>();
  private final ProfileHistory profiles = new ProfileHistory();
  private final Map<Key, Alert> standing = new HashMap<>();
  private NaiveAlerts latest = new NaiveAlerts(events, profiles::of);
  private Map<Key, Alert> alertsBefore;
  private boolean rulesChanged;
  private final List<Integer> pool = new ArrayList<>();
  private List<Example> rules;
  private Decisions decisions;
  private Timeline timeline;
  private Profiles known;

  RandomHistory(long seed, BiFunction<BlockStore, TrackSet, Timeline> open, SeenChanges seen) {
    chance = new Random(seed);
    name = "seed " + seed;
    this.open = open;
    this.seen = seen;
    IntStream.range(0, ExampleRules.all(0).size()).filter(at -> chance.nextBoolean()).forEach(pool::add);
    useRules(0, pool);
    reopen();
  }

  void run() {
    // Duplicates lie up to an hour apart; the first one must not be gone when the second one comes.
    long horizon = Math.max(2 * HOUR, ExampleRules.horizon(pool.stream().map(ExampleRules.all(0)::get).toList()));
    boolean changing = chance.nextInt(3) == 0;
    // Nothing is kept that transactions to come cannot need: profiles come too late for some.
    boolean tight = !changing && chance.nextInt(3) == 0;
    List<Arrival> coming = arrivals(tight);
    int notLoaded = coming.size();
    // A profile that came too late for some transactions holds for them after loading: with nothing to spare, not here.
    if (!changing && !tight && chance.nextInt(4) == 0) {
      notLoaded = chance.nextInt(coming.size());
      useRules(0, List.of());
    }
    while (!coming.isEmpty()) {
      if (rules.isEmpty() && coming.size() <= notLoaded) {
        useRules(0, pool);
        standing.putAll(latest.alerts(rules)); // they were published before the state was lost
        seen.loaded++;
      }
      if (chance.nextInt(3) == 0) {
        reopen();
      }
      if (changing && chance.nextInt(4) == 0) {
        changeRules();
      }
      int size = Math.min(coming.size(), chance.nextInt(4) == 0 ? 1 + chance.nextInt(12) : 1);
      touch(coming.subList(0, size), tight ? oldest(coming, false) - horizon : evictUntil(coming, horizon));
      coming = coming.subList(size, coming.size());
    }
    if (!rulesChanged) {
      assertEquals(statuses(new NaiveAlerts(events, profiles::of).alerts(rules)), statuses(standing), name);
    }
  }

  private long evictUntil(List<Arrival> coming, long horizon) {
    long kept = horizon + chance.nextInt(3) * HOUR;
    return chance.nextInt(3) == 0 ? oldest(coming, true) - kept : Long.MIN_VALUE;
  }

  private static long oldest(List<Arrival> coming, boolean withProfiles) {
    return coming.stream()
        .filter(one -> withProfiles || one.event() != null)
        .mapToLong(Arrival::concerns)
        .min()
        .orElse(MIDNIGHT);
  }

  private void reopen() {
    if (timeline != null) {
      timeline.save();
      known.save();
    }
    timeline = open.apply(store, ExampleRules.TRACKS);
    known = Profiles.open(store);
  }

  private void changeRules() {
    rulesChanged = true;
    useRules(chance.nextInt(6), pool.stream().filter(at -> chance.nextInt(4) > 0).toList());
  }

  private void useRules(int variant, List<Integer> chosen) {
    rules = chosen.stream().map(ExampleRules.all(variant)::get).toList();
    decisions = new Decisions(new ExampleRules(rules), EVIDENCE, 1);
    alertsBefore = null;
  }

  private void touch(List<Arrival> arrivals, long evictUntil) {
    NaiveAlerts before = latest;
    seen.evicted += timeline.size() > 0 && timeline.time(0) <= evictUntil ? 1 : 0;
    alertsBefore = alertsBefore == null ? before.alerts(rules) : alertsBefore;
    List<Event> came = arrivals.stream().map(Arrival::event).filter(Objects::nonNull).toList();
    List<ProfileArrival> profileArrivals = arrivals.stream().map(Arrival::profile).filter(Objects::nonNull).toList();
    events.addAll(came);
    boolean profiled = profiles.take(came, profileArrivals, evictUntil);
    NaiveAlerts after = new NaiveAlerts(events, profiles::of);
    latest = after;
    Touch touch = new Touch(timeline, known, came, profileArrivals, evictUntil);
    Map<Key, Transition> published = new HashMap<>();
    decisions.decide(touch, transition -> {
      Key key = new Key(transition.rule().id(), transition.event().id());
      assertEquals(null, published.put(key, transition), name + ": one transition per alert");
    });
    compare(before, after, published, profiled ? profileArrivals.get(0).arrivedAt() : Long.MAX_VALUE);
  }

  private void compare(NaiveAlerts before, NaiveAlerts after, Map<Key, Transition> published, long profilesAt) {
    Map<Key, Alert> old = alertsBefore;
    Map<Key, Alert> now = after.alerts(rules);
    alertsBefore = now;
    Map<String, Event> changed = changed(before, after);
    long cause =
        Math.min(profilesAt, changed.values().stream().mapToLong(Event::rawBrokerTime).min().orElse(profilesAt));
    Map<Key, String> expected = new HashMap<>();
    for (Map.Entry<Key, Alert> one : now.entrySet()) {
      if (!one.getValue().hasStatusOf(old.get(one.getKey()))) {
        Event own = changed.get(one.getKey().transaction());
        long its = own == null ? cause : own.rawBrokerTime();
        expected.put(one.getKey(), text(one.getValue(), one.getValue().status(), its));
        seen.changed += old.containsKey(one.getKey()) ? 1 : 0;
        standing.put(one.getKey(), one.getValue());
      }
    }
    for (Map.Entry<Key, Alert> one : old.entrySet()) {
      if (!now.containsKey(one.getKey())) {
        expected.put(one.getKey(), text(one.getValue(), Status.RETRACTED, cause));
        standing.remove(one.getKey());
      }
    }
    Set<String> found = new TreeSet<>();
    published.forEach((key, transition) -> found.add(key.rule() + " " + text(transition)));
    Set<String> wanted = new TreeSet<>();
    expected.forEach((key, text) -> wanted.add(key.rule() + " " + text));
    wanted.removeIf(found::remove);
    assertEquals(Set.of(), wanted, name + ": missing");
    assertEquals(Set.of(), found, name + ": not expected");
    for (Transition one : published.values()) {
      seen.raised += one.status() == Status.RAISED ? 1 : 0;
      seen.suppressed += one.status() == Status.SUPPRESSED ? 1 : 0;
      seen.retracted += one.status() == Status.RETRACTED ? 1 : 0;
    }
  }

  /** The transactions that are new or have other contents. */
  private static Map<String, Event> changed(NaiveAlerts before, NaiveAlerts after) {
    Map<String, Event> known = new HashMap<>();
    before.events.forEach(event -> known.put(event.id(), event));
    Map<String, Event> changed = new HashMap<>();
    for (Event event : after.events) {
      Event old = known.get(event.id());
      if (old == null || old.compareFields(event) != 0) {
        changed.put(event.id(), event);
      }
    }
    return changed;
  }

  private Map<Key, String> statuses(Map<Key, Alert> alerts) {
    Map<Key, String> statuses = new HashMap<>();
    alerts.forEach((key, alert) -> statuses.put(key, alert.status() + " " + alert.countedOn()));
    return statuses;
  }

  private static String text(Alert alert, Status status, long cause) {
    List<String> window = alert.window().stream().map(Event::id).toList();
    return status + " " + (status == Status.RETRACTED ? null : alert.countedOn()) + " " + fields(alert.event()) + " "
        + alert.measures() + " " + window.subList(Math.max(0, window.size() - EVIDENCE), window.size()) + " of "
        + window.size() + " by " + cause;
  }

  private static String text(Transition one) {
    assertEquals(one.event().eventTime() - one.rule().longestWindowUs(), one.windowStart());
    return one.status() + " " + one.countedOn() + " " + fields(one.event()) + " " + one.measures() + " "
        + one.evidence() + " of " + one.evidenceCount() + " by " + one.causeBrokerTime();
  }

  private static String fields(Event event) {
    return event + "/" + event.text(Field.CHANNEL) + "/" + event.text(Field.COUNTRY) + "/"
        + event.integer(Field.AMOUNT_MINOR);
  }

  private List<Arrival> arrivals(boolean tight) {
    List<Arrival> coming = new ArrayList<>();
    int number = 5 + chance.nextInt(40);
    long span = (2 + chance.nextInt(tight || chance.nextInt(4) == 0 ? 70 : 14)) * HOUR;
    long disorder = tight ? 1 + chance.nextLong(HOUR) : chance.nextInt(3) * HOUR + 1;
    for (int at = 0; at < number; at++) {
      Event event = event("t" + at, MIDNIGHT + time(span));
      coming.add(arrival(event, disorder));
      if (chance.nextInt(6) == 0) {
        coming.add(arrival(again(event), disorder));
      }
    }
    for (int left = chance.nextInt(5); left > 0; left--) {
      long day = MIDNIGHT + (chance.nextBoolean() ? 0 : -Profiles.DAY);
      // What comes with one touch has one time of arrival.
      long at = day + chance.nextInt((int) (Profiles.DAY / HOUR)) * HOUR;
      Profile profile = ExampleRules.profile(chance.nextInt(3), chance.nextInt(60));
      coming.add(new Arrival(at, null, new ProfileArrival(day, 77, profile)));
    }
    coming.sort(Comparator.comparingLong(Arrival::at));
    return coming;
  }

  private long time(long span) {
    long slots = span / (10 * MINUTE);
    return chance.nextLong(slots) * 10 * MINUTE - span / 2 + (chance.nextInt(4) == 0 ? chance.nextInt(3) - 1 : 0);
  }

  private Arrival arrival(Event event, long disorder) {
    long late = disorder > HOUR && chance.nextInt(6) == 0 ? chance.nextLong(12 * HOUR) : chance.nextLong(disorder);
    return new Arrival(event.eventTime() + late, event, null);
  }

  private Event again(Event event) {
    return switch (chance.nextInt(4)) {
      case 0 -> event;
      case 1 -> copy(event, event.eventTime(), chance.nextInt(100));
      case 2 -> copy(event, event.eventTime() + (chance.nextInt(13) - 6) * 10 * MINUTE, chance.nextInt(100));
      default -> copy(event, event.eventTime(), event.integer(Field.AMOUNT_MINOR));
    };
  }

  private Event copy(Event event, long time, long amount) {
    return new Event.Builder()
        .times(time, chance.nextInt(1000))
        .text(Field.TRANSACTION_ID, event.id())
        .text(Field.CHANNEL, event.text(Field.CHANNEL))
        .text(Field.COUNTRY, event.text(Field.COUNTRY))
        .integer(Field.AMOUNT_MINOR, amount)
        .build();
  }

  private Event event(String id, long time) {
    return new Event.Builder()
        .times(time, chance.nextInt(1000))
        .text(Field.TRANSACTION_ID, id)
        .text(Field.CHANNEL, chance.nextInt(3) > 0 ? "pos" : "ecom")
        .text(Field.COUNTRY, chance.nextInt(5) == 0 ? null : List.of("DE", "FR", "US").get(chance.nextInt(3)))
        .integer(Field.AMOUNT_MINOR, chance.nextInt(100))
        .build();
  }
}
