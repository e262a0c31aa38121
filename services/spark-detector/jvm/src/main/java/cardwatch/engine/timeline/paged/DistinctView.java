package cardwatch.engine.timeline.paged;

import cardwatch.engine.timeline.DistinctCounts;
import java.util.Arrays;

/**
 * Numbers of different values over ranges whose ends go back.
 *
 * <p>The bits of {@link Occurrences} are as of the last event. This view has them as of an earlier one: a step back
 * takes the bit of the event that it leaves, and gives one to the previous occurrence of its value. It changes copies
 * of the pages' bits.
 */
final class DistinctView implements DistinctCounts, Ranges.Parts {
  private final Pages pages;
  private final Ranges ranges;
  private final Occurrences occurrences;
  private final Column column;
  private final int hidden;
  private final long[] totals;
  private final long[][] copies;
  private int end;
  private int found;

  /** A view whose ordinals begin after some events that are hidden. */
  DistinctView(Pages pages, Ranges ranges, Occurrences occurrences, Column column, int hidden) {
    this.pages = pages;
    this.ranges = ranges;
    this.occurrences = occurrences;
    this.column = column;
    this.hidden = hidden;
    totals = Arrays.copyOf(column.totals[0], pages.count());
    copies = new long[pages.count()][];
    end = pages.size();
  }

  @Override
  public int count(int from, int to) {
    if (to + hidden > end) {
      throw new IllegalArgumentException(
          "a range until " + to + " after one until " + (end - hidden) + ": ends must not increase");
    }
    if (from >= to) {
      return 0;
    }
    while (end > to + hidden) {
      stepBack();
    }
    found = 0;
    ranges.divide(from + hidden, to + hidden, this);
    return found;
  }

  @Override
  public void events(int page, int leaf, int from, int to) {
    found += Long.bitCount(bits(page)[leaf] & pages.leaf(page, leaf).slots(from, to));
  }

  @Override
  public void leaves(int page, int from, int to) {
    if (from < to) {
      long[] bits = bits(page);
      for (int leaf = from; leaf < to; leaf++) {
        found += Long.bitCount(bits[leaf]);
      }
    }
  }

  @Override
  public void pages(int from, int to) {
    for (int page = from; page < to; page++) {
      found += (int) totals[page];
    }
  }

  private void stepBack() {
    Position last = pages.at(--end);
    if (!Bits.get(pages.get(last.page()).values(column.masked)[0][last.leaf()], last.index())) {
      return;
    }
    int slot = pages.leaf(last).slot(last.index());
    set(last, slot, false);
    Name previous = occurrences.previous(column, last, slot);
    if (previous != null) {
      set(pages.locate(previous), previous.slot(), true);
    }
  }

  private void set(Position at, int slot, boolean isLatest) {
    if (copies[at.page()] == null) {
      copies[at.page()] = pages.get(at.page()).values(column)[0].clone();
    }
    copies[at.page()][at.leaf()] = Bits.with(copies[at.page()][at.leaf()], slot, isLatest);
    totals[at.page()] += isLatest ? 1 : -1;
  }

  private long[] bits(int page) {
    return copies[page] != null ? copies[page] : pages.get(page).values(column)[0];
  }
}
