package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.EventNumbers;

/**
 * Queries over ranges of ordinals [from, to): parts of the two leaves at their ends, whole leaves of two pages, whole
 * pages.
 */
final class Ranges {
  private final Pages pages;

  Ranges(Pages pages) {
    this.pages = pages;
  }

  /** What is done with the parts of a range. */
  interface Parts {
    /** Some events of a leaf. */
    void events(int page, int leaf, int from, int to);

    /** Whole leaves [from, to) of a page. */
    void leaves(int page, int from, int to);

    /** Whole pages [from, to). */
    void pages(int from, int to);
  }

  /** Divide a range that is not empty into parts. */
  void divide(int from, int to, Parts parts) {
    Position first = pages.at(from);
    Position last = pages.at(to - 1);
    if (first.page() == last.page() && first.leaf() == last.leaf()) {
      inLeaf(first.page(), first.leaf(), first.index(), last.index() + 1, parts);
      return;
    }
    int page = first.page();
    inLeaf(page, first.leaf(), first.index(), pages.get(page).leaves().size(first.leaf()), parts);
    if (page == last.page()) {
      parts.leaves(page, first.leaf() + 1, last.leaf());
    } else {
      parts.leaves(page, first.leaf() + 1, pages.get(page).count());
      parts.pages(page + 1, last.page());
      parts.leaves(last.page(), 0, last.leaf());
    }
    inLeaf(last.page(), last.leaf(), 0, last.index() + 1, parts);
  }

  private void inLeaf(int page, int leaf, int from, int to, Parts parts) {
    if (from == 0 && to == pages.get(page).leaves().size(leaf)) {
      parts.leaves(page, leaf, leaf + 1);
    } else {
      parts.events(page, leaf, from, to);
    }
  }

  /** How many events of a range have the bit of a column of bits by position. */
  int count(Column column, int from, int to) {
    return from >= to ? 0 : (int) summary(column, from, to)[0][0];
  }

  /** What a column keeps, of a range: [part][0]. */
  long[][] summary(Column column, int from, int to) {
    long[][] sum = Summaries.none(column.kind);
    if (from < to) {
      divide(from, to, new Summary(column, sum));
    }
    return sum;
  }

  /** The first event of a range that has the bit of a column; −1 if none. */
  int first(Column column, int from, int to) {
    if (from >= to) {
      return -1;
    }
    Position begin = pages.at(from);
    Position end = pages.at(to - 1);
    for (int page = begin.page(); page <= end.page(); page++) {
      if (column.totals[0][page] == 0) {
        continue;
      }
      int leaf = page == begin.page() ? begin.leaf() : 0;
      int until = page == end.page() ? end.leaf() : pages.get(page).count() - 1;
      for (; leaf <= until; leaf++) {
        long bits = bits(column, page, leaf, begin, end);
        if (bits != 0) {
          return pages.ordinal(new Position(page, leaf, Bits.first(bits)));
        }
      }
    }
    return -1;
  }

  /** The last event of a range that has the bit of a column; −1 if none. */
  int last(Column column, int from, int to) {
    if (from >= to) {
      return -1;
    }
    Position begin = pages.at(from);
    Position end = pages.at(to - 1);
    for (int page = end.page(); page >= begin.page(); page--) {
      if (column.totals[0][page] == 0) {
        continue;
      }
      int leaf = page == end.page() ? end.leaf() : pages.get(page).count() - 1;
      int until = page == begin.page() ? begin.leaf() : 0;
      for (; leaf >= until; leaf--) {
        long bits = bits(column, page, leaf, begin, end);
        if (bits != 0) {
          return pages.ordinal(new Position(page, leaf, Bits.last(bits)));
        }
      }
    }
    return -1;
  }

  boolean get(Column column, int ordinal) {
    Position at = pages.at(ordinal);
    return Bits.get(pages.get(at.page()).values(column)[0][at.leaf()], at.index());
  }

  private long bits(Column column, int page, int leaf, Position begin, Position end) {
    long bits = pages.get(page).values(column)[0][leaf];
    if (page == begin.page() && leaf == begin.leaf()) {
      bits &= ~Bits.below(begin.index());
    }
    return page == end.page() && leaf == end.leaf() ? bits & Bits.below(end.index() + 1) : bits;
  }

  /** Adds up what a column keeps. */
  private final class Summary implements Parts {
    private final Column column;
    private final long[][] sum;

    private Summary(Column column, long[][] sum) {
      this.column = column;
      this.sum = sum;
    }

    @Override
    public void events(int page, int leaf, int from, int to) {
      Column included = column.kind.isBits() ? column : column.masked;
      long rest = pages.get(page).values(included)[0][leaf] & Bits.range(from, to);
      if (column.kind.isBits()) {
        sum[0][0] += Long.bitCount(rest);
        return;
      }
      EventNumbers numbers = pages.leaf(page, leaf).numbers();
      for (; rest != 0; rest &= rest - 1) {
        long bits = numbers.bits(column.field, Bits.first(rest));
        Summaries.addValue(column.kind, sum, 0, Summaries.value(column.field, bits));
      }
    }

    @Override
    public void leaves(int page, int from, int to) {
      if (from < to) {
        Summaries.merge(column.kind, sum, 0, pages.get(page).values(column), from, to, true);
      }
    }

    @Override
    public void pages(int from, int to) {
      Summaries.merge(column.kind, sum, 0, column.totals, from, to, false);
    }
  }
}
