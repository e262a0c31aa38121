package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.Event;
import cardwatch.engine.timeline.BlockStore;
import cardwatch.engine.timeline.DistinctCounts;
import cardwatch.engine.timeline.HitBits;
import cardwatch.engine.timeline.Insertion;
import cardwatch.engine.timeline.Timeline;
import cardwatch.engine.timeline.TrackSet;
import java.util.Arrays;

/**
 * A timeline of leaves and pages, for keys with many events: an insertion or a query reads and changes a few blocks,
 * however many events there are.
 *
 * <p>Events are in leaves of at most 64, leaves in pages of at most 64. Of each leaf and each page it is known how many
 * events a mask includes, what a sum is and so on ({@link Column}); so a range is the parts of two leaves at its ends,
 * whole leaves of two pages, and whole pages between them. Different values are counted by {@link Occurrences}.
 */
public final class PagedTimeline implements Timeline {
  /** The first byte of its head. */
  public static final int LAYOUT = 3;

  /** The first byte of its blocks. */
  public static final int BLOCK_LAYOUT = Blocks.LAYOUT;

  /** The most leaves of a page. */
  private static final int PAGE_CAPACITY = 64;

  private final BlockStore store;
  private byte[] storedHead;
  private final Head head;
  private final Pages pages;
  private final Ranges ranges;
  private final Editor editor;
  private final IdIndex ids;
  private final ValueIndex values;
  private final Occurrences occurrences;
  private final ColumnBuilder builder;
  private final Evictor evictor;
  private String foundId;
  private Position found;

  private PagedTimeline(BlockStore store, TrackSet tracks, int leafCapacity, int pageCapacity) {
    Blocks blocks = new Blocks(store);
    this.store = store;
    storedHead = store.head();
    head = storedHead == null ? Head.empty(blocks) : Head.read(blocks, storedHead);
    pages = head.pages;
    ranges = new Ranges(pages);
    editor = new Editor(pages, leafCapacity, pageCapacity);
    ids = new IdIndex(blocks);
    values = new ValueIndex(blocks);
    occurrences = new Occurrences(pages, values, head.evictions);
    builder = new ColumnBuilder(pages, editor, occurrences);
    evictor = new Evictor(head, editor, occurrences, ids);
    long last = pages.size() == 0 ? Long.MIN_VALUE : pages.lastTime();
    for (Column column : head.columns.bind(tracks, pages.count())) {
      head.columns.retire(column, last);
    }
    evictor.removeRetired();
  }

  /**
   * The timeline of a key; an empty one if the store has no head.
   *
   * @throws IllegalStateException the head is damaged, was written by a later version, or is not of pages
   */
  public static PagedTimeline open(BlockStore store, TrackSet tracks) {
    return new PagedTimeline(store, tracks, Leaf.MOST_EVENTS, PAGE_CAPACITY);
  }

  /** The same with other capacities, of leaves in events and of pages in leaves, at least 2. */
  static PagedTimeline open(BlockStore store, TrackSet tracks, int leafCapacity, int pageCapacity) {
    return new PagedTimeline(store, tracks, leafCapacity, pageCapacity);
  }

  @Override
  public int size() {
    return pages.size() - head.hidden;
  }

  @Override
  public long time(int ordinal) {
    Position at = pages.at(ordinal + head.hidden);
    return pages.leaf(at).time(at.index());
  }

  @Override
  public Event event(int ordinal) {
    return event(pages.at(ordinal + head.hidden));
  }

  @Override
  public String id(int ordinal) {
    Position at = pages.at(ordinal + head.hidden);
    return pages.leaf(at).id(at.index());
  }

  @Override
  public int find(String transactionId) {
    Position at = position(transactionId);
    return at == null ? -1 : pages.ordinal(at) - head.hidden;
  }

  @Override
  public int firstAfter(long time) {
    return Math.max(0, pages.firstAfter(time) - head.hidden);
  }

  @Override
  public Insertion insert(Event event) {
    Position present = position(event.id());
    Event other = present == null ? null : event(present);
    if (other != null && other.compareContent(event) <= 0) {
      return new Insertion(Insertion.Outcome.KEPT, null);
    }
    foundId = null;
    if (other != null) {
      remove(present, other);
    }
    add(event);
    return new Insertion(other == null ? Insertion.Outcome.ADDED : Insertion.Outcome.REPLACED, other);
  }

  @Override
  public int count(int mask, int from, int to) {
    return ranges.count(mask(mask), from + head.hidden, to + head.hidden);
  }

  @Override
  public boolean included(int mask, int ordinal) {
    return ranges.get(mask(mask), ordinal + head.hidden);
  }

  @Override
  public int firstIncluded(int mask, int from, int to) {
    int first = ranges.first(mask(mask), from + head.hidden, to + head.hidden);
    return first < 0 ? -1 : first - head.hidden;
  }

  @Override
  public int lastIncluded(int mask, int from, int to) {
    int last = ranges.last(mask(mask), from + head.hidden, to + head.hidden);
    return last < 0 ? -1 : last - head.hidden;
  }

  @Override
  public long sum(int track, int from, int to) {
    return summary(track, from, to)[0][0];
  }

  @Override
  public double spread(int track, int from, int to) {
    long[][] sums = summary(track, from, to);
    return ExactSums.spread(sums, 0, ranges.count(track(track).masked, from + head.hidden, to + head.hidden));
  }

  @Override
  public long minInteger(int track, int from, int to) {
    return summary(track, from, to)[0][0];
  }

  @Override
  public long maxInteger(int track, int from, int to) {
    return summary(track, from, to)[1][0];
  }

  @Override
  public double minNumber(int track, int from, int to) {
    return Summaries.number(summary(track, from, to)[0][0]);
  }

  @Override
  public double maxNumber(int track, int from, int to) {
    return Summaries.number(summary(track, from, to)[1][0]);
  }

  @Override
  public DistinctCounts distinct(int track) {
    return new DistinctView(pages, ranges, occurrences, track(track), head.hidden);
  }

  @Override
  public int unbuilt(int mask, int track) {
    int columns = head.columns.mask(mask).isBuilt ? 0 : 1;
    columns += track < 0 || head.columns.track(track).isBuilt ? 0 : 1;
    return columns * pages.size();
  }

  @Override
  public void build(int mask, int track) {
    mask(mask);
    if (track >= 0) {
      track(track);
    }
  }

  @Override
  public HitBits hits(long ruleFingerprint) {
    return new PagedHits(pages, ranges, head.columns.hits(ruleFingerprint, pages.count()), head.hidden);
  }

  @Override
  public void retainHits(long[] ruleFingerprints) {
    for (long rule : rulesWithHits()) {
      if (Arrays.stream(ruleFingerprints).noneMatch(kept -> kept == rule)) {
        head.columns.remove(head.columns.hits(rule, pages.count()));
      }
    }
  }

  /** The fingerprints of the rules whose hits it holds. */
  public long[] rulesWithHits() {
    return head.columns.hits().keySet().stream().mapToLong(Long::longValue).toArray();
  }

  @Override
  public void evictUntil(long time) {
    if (evictor.evictUntil(time)) {
      foundId = null;
    }
  }

  @Override
  public void save() {
    pages.save();
    ids.save();
    values.save();
    byte[] bytes = pages.size() == 0 ? null : head.write();
    if (!Arrays.equals(bytes, storedHead)) {
      store.head(bytes);
      storedHead = bytes;
    }
  }

  private Column mask(int mask) {
    return built(head.columns.mask(mask));
  }

  private Column track(int track) {
    return built(head.columns.track(track));
  }

  private Column built(Column column) {
    builder.build(column, head.hidden);
    return column;
  }

  private long[][] summary(int track, int from, int to) {
    return ranges.summary(track(track), from + head.hidden, to + head.hidden);
  }

  private Event event(Position at) {
    return pages.leaf(at).event(at.index());
  }

  /** Where the event of a transaction id is; null if there is none, or it is hidden. */
  private Position position(String id) {
    if (!id.equals(foundId)) {
      found = search(id);
      foundId = id;
    }
    return found;
  }

  private Position search(String id) {
    for (long time : ids.times(id)) {
      Position at = pages.lowerBound(time, id);
      Leaf leaf = pages.leaf(at);
      boolean isThere = at.index() < leaf.size() && leaf.time(at.index()) == time && leaf.id(at.index()).equals(id);
      if (isThere && pages.ordinal(at) >= head.hidden) {
        return at;
      }
    }
    return null;
  }

  private void add(Event event) {
    Position before = pages.count() == 0 ? null : pages.lowerBound(event.eventTime(), event.id());
    if (before != null && pages.ordinal(before) < head.hidden) {
      evictor.removeHidden();
      before = pages.count() == 0 ? null : pages.lowerBound(event.eventTime(), event.id());
    }
    Position at = editor.insert(before, event, head.nextArrival++);
    ids.add(event.id(), event.eventTime());
    for (Column column : head.columns.all()) {
      if (isOccurrence(column, at)) {
        occurrences.add(column, event, at);
      }
    }
  }

  private void remove(Position at, Event event) {
    for (Column column : head.columns.all()) {
      if (isOccurrence(column, at)) {
        occurrences.remove(column, event, at);
      }
    }
    occurrences.forgetRetired(event, at);
    ids.remove(event.id(), event.eventTime());
    editor.remove(at);
  }

  private boolean isOccurrence(Column column, Position at) {
    return column.kind == Column.Kind.LATEST && column.isBuilt && !column.isRetired
        && Bits.get(pages.get(at.page()).values(column.masked)[0][at.leaf()], at.index());
  }
}
