package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.EventNumbers;

/**
 * Inserts and removes events, and keeps the columns right, except LATEST of the event itself ({@link Occurrences}).
 *
 * <p>A full leaf is split in two, and a full page. At the end of the key a new leaf is begun instead; but where events
 * come out of order, the last quarter of the full leaf moves to it, so that the next stragglers find room.
 */
final class Editor {
  private final Pages pages;
  private final Columns columns;
  private final int leafCapacity;
  private final int pageCapacity;

  Editor(Pages pages, int leafCapacity, int pageCapacity) {
    this.pages = pages;
    this.columns = pages.columns();
    this.leafCapacity = leafCapacity;
    this.pageCapacity = pageCapacity;
  }

  /** Insert an event before the one at a position; returns where it is then. */
  Position insert(Position before, Event event, long arrival) {
    Position at = makeRoom(before, event);
    Page page = pages.get(at.page());
    Leaf leaf = pages.leaf(at);
    leaf.insert(at.index(), event, arrival);
    page.resize(at.leaf(), leaf.size(), leaf.time(0));
    pages.changed(at.page() + 1);
    for (Column column : columns.all()) {
      if (column.isBuilt) {
        insertInto(column, page, at, leaf.numbers(), event);
      }
    }
    return at;
  }

  /** Remove an event. */
  void remove(Position at) {
    Page page = pages.get(at.page());
    Leaf leaf = pages.leaf(at);
    int slot = leaf.slot(at.index());
    leaf.remove(at.index());
    page.resize(at.leaf(), leaf.size(), leaf.size() == 0 ? page.leaves().firstTime(at.leaf()) : leaf.time(0));
    for (Column column : columns.all()) {
      if (column.kind.isBits()) {
        long[] bits = page.changing(column)[0];
        bits[at.leaf()] = column.kind == Column.Kind.LATEST ? Bits.with(bits[at.leaf()], slot, false)
                                                            : Bits.remove(bits[at.leaf()], at.index());
      } else {
        summarize(column, page, at.leaf(), leaf);
      }
    }
    pages.changed(at.page());
    if (leaf.size() == 0) {
      pages.removeLeaves(at.page(), at.leaf(), at.leaf() + 1);
    }
    if (page.count() == 0) {
      pages.removePage(at.page());
    } else {
      total(at.page());
    }
  }

  /** Add up what all columns keep of a page. */
  void total(int page) {
    for (Column column : columns.all()) {
      total(column, page);
    }
  }

  /** Add up what a column keeps of a page. */
  void total(Column column, int page) {
    Page of = pages.get(page);
    Summaries.clear(column.kind, column.totals, page);
    Summaries.merge(column.kind, column.totals, page, of.values(column), 0, of.count(), true);
  }

  /** Add up the values of a leaf's included events; not for columns of bits. */
  static void summarize(Column column, Page page, int at, Leaf leaf) {
    if (!column.isBuilt) {
      return;
    }
    long[][] values = page.changing(column);
    EventNumbers numbers = leaf.numbers();
    Summaries.clear(column.kind, values, at);
    for (long rest = page.values(column.masked)[0][at]; rest != 0; rest &= rest - 1) {
      Summaries.addValue(
          column.kind, values, at, Summaries.value(column.field, numbers.bits(column.field, Bits.first(rest))));
    }
  }

  private static void insertInto(Column column, Page page, Position at, EventNumbers numbers, Event event) {
    int leaf = at.leaf();
    switch (column.kind) {
      case MASK -> {
        long[] bits = page.changing(column)[0];
        boolean included = column.mask.includes(event);
        bits[leaf] = Bits.insert(bits[leaf], at.index(), included);
        column.totals[0][at.page()] += included ? 1 : 0;
      }
      case HITS -> {
        long[] bits = page.changing(column)[0];
        bits[leaf] = Bits.insert(bits[leaf], at.index(), false);
      }
      case LATEST -> {
        // the event's occurrences are noted when it is in its place
      }
      default -> {
        if (Bits.get(page.values(column.masked)[0][leaf], at.index())) {
          long value = Summaries.value(column.field, numbers.bits(column.field, at.index()));
          Summaries.addValue(column.kind, page.changing(column), leaf, value);
          Summaries.addValue(column.kind, column.totals, at.page(), value);
        }
      }
    }
  }

  private Position makeRoom(Position before, Event event) {
    if (pages.count() == 0) {
      pages.insertPage(0);
      return insertLeaf(0, 0, pages.newLeaf(), event.eventTime());
    }
    Leaf leaf = pages.leaf(before);
    int size = leaf.size();
    if (size < leafCapacity) {
      return before;
    }
    boolean atEnd = before.index() == size && before.page() == pages.count() - 1
        && before.leaf() == pages.get(before.page()).count() - 1;
    if (atEnd && leaf.isInOrder()) {
      return insertLeaf(before.page(), before.leaf() + 1, pages.newLeaf(), event.eventTime());
    }
    int cut = atEnd ? size * 3 / 4 : size / 2;
    Position tail = split(before.page(), before.leaf(), cut);
    return before.index() > cut ? new Position(tail.page(), tail.leaf(), before.index() - cut)
                                : previousLeaf(tail, before.index());
  }

  /** Split a leaf in two; returns where the second one is. */
  private Position split(int page, int at, int cut) {
    Leaf leaf = pages.leaf(page, at);
    Leaf tail = pages.newLeaf();
    long moved = leaf.slots(cut, leaf.size());
    leaf.split(cut, tail);
    pages.get(page).resize(at, cut, leaf.time(0));
    Position second = insertLeaf(page, at + 1, tail, tail.time(0));
    Position first = previousLeaf(second, 0);
    Page left = pages.get(first.page());
    Page right = pages.get(second.page());
    for (Column column : columns.all()) {
      if (column.kind.isBits()) {
        long bits = left.values(column)[0][first.leaf()];
        boolean bySlot = column.kind == Column.Kind.LATEST;
        left.changing(column)[0][first.leaf()] = bySlot ? bits & ~moved : bits & Bits.below(cut);
        right.changing(column)[0][second.leaf()] = bySlot ? bits & moved : bits >>> cut;
      } else {
        summarize(column, left, first.leaf(), leaf);
        summarize(column, right, second.leaf(), tail);
      }
    }
    if (first.page() != second.page()) {
      total(first.page());
      total(second.page());
    }
    return second;
  }

  /** Insert a leaf into a page, which is split if it is full; returns where the leaf is then. */
  private Position insertLeaf(int page, int at, Leaf leaf, long firstTime) {
    Page of = pages.get(page);
    int size = leaf.size();
    if (of.count() < pageCapacity) {
      of.insertLeaf(at, leaf.id, size, firstTime);
      pages.changed(page);
      return new Position(page, at, 0);
    }
    Page tail = pages.insertPage(page + 1);
    if (at == of.count() && page + 2 == pages.count()) {
      tail.insertLeaf(0, leaf.id, size, firstTime);
      pages.changed(page);
      return new Position(page + 1, 0, 0);
    }
    int cut = of.count() / 2;
    of.split(cut, tail);
    total(page);
    total(page + 1);
    pages.changed(page);
    return at > cut ? insertLeaf(page + 1, at - cut, leaf, firstTime) : insertLeaf(page, at, leaf, firstTime);
  }

  private Position previousLeaf(Position at, int index) {
    return at.leaf() > 0 ? new Position(at.page(), at.leaf() - 1, index)
                         : new Position(at.page() - 1, pages.get(at.page() - 1).count() - 1, index);
  }
}
