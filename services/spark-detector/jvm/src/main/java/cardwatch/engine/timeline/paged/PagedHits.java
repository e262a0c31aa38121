package cardwatch.engine.timeline.paged;

import cardwatch.engine.timeline.HitBits;

/** The hits of one rule, in the pages. */
final class PagedHits implements HitBits {
  private final Pages pages;
  private final Ranges ranges;
  private final Column column;
  private final int hidden;

  /** Hits whose ordinals begin after some events that are hidden. */
  PagedHits(Pages pages, Ranges ranges, Column column, int hidden) {
    this.pages = pages;
    this.ranges = ranges;
    this.column = column;
    this.hidden = hidden;
  }

  @Override
  public long knownFrom() {
    return column.knownFrom;
  }

  @Override
  public void knownFrom(long time) {
    column.knownFrom = time;
  }

  @Override
  public boolean get(int ordinal) {
    return ranges.get(column, ordinal + hidden);
  }

  @Override
  public void set(int ordinal, boolean hit) {
    Position at = pages.at(ordinal + hidden);
    Page page = pages.get(at.page());
    long before = page.values(column)[0][at.leaf()];
    if (Bits.get(before, at.index()) != hit) {
      page.changing(column)[0][at.leaf()] = Bits.with(before, at.index(), hit);
      column.totals[0][at.page()] += hit ? 1 : -1;
    }
  }

  @Override
  public int first(int from, int to) {
    return visible(ranges.first(column, from + hidden, to + hidden));
  }

  @Override
  public int last(int from, int to) {
    return visible(ranges.last(column, from + hidden, to + hidden));
  }

  private int visible(int found) {
    return found < 0 ? -1 : found - hidden;
  }
}
