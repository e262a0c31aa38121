package cardwatch.engine.program;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.event.Row;
import cardwatch.engine.timeline.DistinctCounts;
import cardwatch.engine.timeline.Timeline;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Evaluates rules for events of a key's timeline, from later to earlier ones. A measure is computed when a condition
 * asks for it, once per event for all rules. Holds until the timeline's next insertion or eviction. For one thread.
 */
public final class MeasureEvaluator implements MeasureValues {
  private static final double MICROSECONDS_PER_SECOND = 1_000_000;

  private final ScopeProgram program;
  private final Timeline timeline;
  private final DistinctCounts[] distinct;
  private final Row row = new CurrentEvent();

  // By slot: the ordinal for which it is computed, and its value.
  private final int[] computedFor;
  private final boolean[] nulls;
  private final long[] integers;
  private final double[] numbers;
  private final String[] texts;

  private int ordinal = Integer.MAX_VALUE;
  private long time;
  private int windowEnd;
  private Event event;

  /** Evaluates rules of a scope over a timeline that was opened with the scope's tracks. */
  public MeasureEvaluator(ScopeProgram program, Timeline timeline) {
    this.program = program;
    this.timeline = timeline;
    int slots = program.computations().size();
    distinct = new DistinctCounts[program.tracks().tracks().size()];
    computedFor = new int[slots];
    Arrays.fill(computedFor, Integer.MAX_VALUE);
    nulls = new boolean[slots];
    integers = new long[slots];
    numbers = new double[slots];
    texts = new String[slots];
  }

  /**
   * Go to an event: not to a later one than before.
   *
   * @throws IllegalArgumentException it is later
   */
  public void moveTo(int ordinal) {
    if (ordinal > this.ordinal) {
      throw new IllegalArgumentException("expected an event not after " + this.ordinal + ", got " + ordinal);
    }
    this.ordinal = ordinal;
    event = null;
    time = timeline.time(ordinal);
    windowEnd = timeline.firstAfter(time);
  }

  /** The event that it is at; loaded when it is asked for, since many conditions need measures only. */
  public Event event() {
    if (event == null) {
      event = timeline.event(ordinal);
    }
    return event;
  }

  /** Whether a rule hits the event. */
  public boolean holds(Rule rule, Profile profile) {
    return rule.when().holds(row, this, profile);
  }

  /** The first event of the window that ends with the event. */
  public int windowBegin(long windowUs) {
    return timeline.firstAfter(time - windowUs);
  }

  /** One past the last event of the windows that end with the event: after it and all others of its time. */
  public int windowEnd() {
    return windowEnd;
  }

  /** The values of a rule's measures, for an alert: Long, Double, String or null each. */
  public List<Object> values(Rule rule) {
    List<Object> values = new ArrayList<>();
    for (Measure measure : rule.measures()) {
      int slot = measure.slot();
      values.add(switch (measure.type()) {
        case INTEGER -> isNull(slot) ? null : (Object) integer(slot);
        case DOUBLE -> isNull(slot) ? null : (Object) number(slot);
        default -> text(slot);
      });
    }
    return values;
  }

  @Override
  public boolean isNull(int slot) {
    compute(slot);
    return nulls[slot];
  }

  @Override
  public long integer(int slot) {
    compute(slot);
    return integers[slot];
  }

  @Override
  public double number(int slot) {
    compute(slot);
    return numbers[slot];
  }

  @Override
  public String text(int slot) {
    compute(slot);
    return nulls[slot] ? null : texts[slot];
  }

  private void compute(int slot) {
    if (computedFor[slot] == ordinal) {
      return;
    }
    computedFor[slot] = ordinal;
    nulls[slot] = false;
    Measure.Computation computation = program.computations().get(slot);
    int from = windowBegin(computation.windowUs());
    int mask = computation.mask();
    switch (computation.aggregate()) {
      case COUNT -> integers[slot] = timeline.count(mask, from, windowEnd);
      case COUNT_DISTINCT -> integers[slot] = distinct(computation.track()).count(from, windowEnd);
      case SUM, MEAN, STDDEV, RATIO_TO_MEAN -> total(slot, computation, from);
      case MIN, MAX -> extreme(slot, computation, from);
      case FIRST -> valueAt(slot, computation.field(), timeline.firstIncluded(mask, from, windowEnd));
      case LAST -> valueAt(slot, computation.field(), timeline.lastIncluded(mask, from, windowEnd));
      case PREVIOUS -> valueAt(slot, computation.field(), timeline.lastIncluded(mask, from, ordinal));
      case SECONDS_SINCE_PREVIOUS, DISTANCE_KM, SPEED_KMH ->
        sincePrevious(slot, computation.aggregate(), timeline.lastIncluded(mask, from, ordinal));
    }
  }

  private DistinctCounts distinct(int track) {
    if (distinct[track] == null) {
      distinct[track] = timeline.distinct(track);
    }
    return distinct[track];
  }

  private void total(int slot, Measure.Computation computation, int from) {
    long count = timeline.count(computation.mask(), from, windowEnd);
    if (count < (computation.aggregate() == Aggregate.STDDEV ? 2 : 1)) {
      nulls[slot] = true;
      return;
    }
    if (computation.aggregate() == Aggregate.STDDEV) {
      double spread = timeline.spread(computation.track(), from, windowEnd);
      numbers[slot] = Math.sqrt(spread / (count * (count - 1)));
      return;
    }
    long sum = timeline.sum(computation.track(), from, windowEnd);
    integers[slot] = sum;
    numbers[slot] = (double) sum / count;
    if (computation.aggregate() == Aggregate.RATIO_TO_MEAN) {
      double mean = numbers[slot];
      nulls[slot] = mean == 0 || event().isNull(computation.field());
      numbers[slot] = nulls[slot] ? 0 : event().integer(computation.field()) / mean;
    }
  }

  private void extreme(int slot, Measure.Computation computation, int from) {
    int track = computation.track();
    boolean smallest = computation.aggregate() == Aggregate.MIN;
    if (timeline.firstIncluded(computation.mask(), from, windowEnd) < 0) {
      nulls[slot] = true;
    } else if (computation.field().kind() == Field.Kind.INTEGER) {
      integers[slot] =
          smallest ? timeline.minInteger(track, from, windowEnd) : timeline.maxInteger(track, from, windowEnd);
    } else {
      numbers[slot] =
          smallest ? timeline.minNumber(track, from, windowEnd) : timeline.maxNumber(track, from, windowEnd);
    }
  }

  private void valueAt(int slot, Field field, int chosen) {
    nulls[slot] = chosen < 0;
    if (chosen < 0) {
      return;
    }
    Event one = timeline.event(chosen);
    switch (field.kind()) {
      case TEXT -> texts[slot] = one.text(field);
      case INTEGER -> integers[slot] = one.integer(field);
      case DOUBLE -> numbers[slot] = one.number(field);
    }
  }

  private void sincePrevious(int slot, Aggregate aggregate, int previous) {
    nulls[slot] = previous < 0 || aggregate != Aggregate.SECONDS_SINCE_PREVIOUS && !isLocated(event());
    if (nulls[slot]) {
      return;
    }
    double seconds = (time - timeline.time(previous)) / MICROSECONDS_PER_SECOND;
    if (aggregate == Aggregate.SECONDS_SINCE_PREVIOUS) {
      numbers[slot] = seconds;
      return;
    }
    double distance = GreatCircle.km(event(), timeline.event(previous));
    numbers[slot] = aggregate == Aggregate.DISTANCE_KM ? distance : distance * 3600 / Math.max(seconds, 1);
  }

  private static boolean isLocated(Event event) {
    return !event.isNull(Field.LATITUDE) && !event.isNull(Field.LONGITUDE)
        && !Double.isNaN(event.number(Field.LATITUDE)) && !Double.isNaN(event.number(Field.LONGITUDE));
  }

  /** The fields of the event that it is at. */
  private final class CurrentEvent implements Row {
    @Override
    public boolean isNull(Field field) {
      return event().isNull(field);
    }

    @Override
    public long integer(Field field) {
      return event().integer(field);
    }

    @Override
    public double number(Field field) {
      return event().number(field);
    }

    @Override
    public String text(Field field) {
      return event().text(field);
    }
  }
}
