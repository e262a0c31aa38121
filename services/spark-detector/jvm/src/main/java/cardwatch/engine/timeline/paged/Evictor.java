package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.Event;
import java.util.List;

/**
 * Evicts the oldest events. Whole leaves are removed; evicted events of the leaf that remains first are only hidden, so
 * that a touch does not rewrite it.
 */
final class Evictor {
  private final Head head;
  private final Pages pages;
  private final Editor editor;
  private final Occurrences occurrences;
  private final IdIndex ids;

  Evictor(Head head, Editor editor, Occurrences occurrences, IdIndex ids) {
    this.head = head;
    this.pages = head.pages;
    this.editor = editor;
    this.occurrences = occurrences;
    this.ids = ids;
  }

  /** Evict events that are not later than a time; returns whether there were any. */
  boolean evictUntil(long time) {
    if (pages.size() == 0 || pages.get(0).firstTime > time) {
      return false;
    }
    int evicted = pages.firstAfter(time);
    if (evicted <= head.hidden) {
      return false;
    }
    head.evictions.add(time, head.nextArrival);
    while (pages.count() > 0 && pages.get(0).size <= evicted) {
      evicted -= pages.get(0).size;
      forgetLeaves(pages.get(0).count());
      pages.removePage(0);
    }
    if (evicted > 0) {
      int leaves = pages.get(0).leaves().leafAt(evicted);
      if (leaves > 0) {
        evicted -= pages.get(0).leaves().start(leaves);
        forgetLeaves(leaves);
        pages.removeLeaves(0, 0, leaves);
        editor.total(0);
      }
    }
    head.hidden = evicted;
    removeRetired();
    return true;
  }

  /** Remove retired columns of which no event is there any more. */
  void removeRetired() {
    for (Column column : List.copyOf(head.columns.all())) {
      if (column.isRetired && (pages.count() == 0 || pages.get(0).firstTime > column.retiredAt)) {
        for (int page = 0; page < pages.count(); page++) {
          pages.get(page).removeLatest(column);
        }
        head.columns.remove(column);
      }
    }
  }

  /** Remove hidden events. */
  void removeHidden() {
    for (; head.hidden > 0; head.hidden--) {
      Leaf leaf = pages.leaf(0, 0);
      forget(leaf, 0, 0);
      editor.remove(new Position(0, 0, 0));
    }
  }

  private void forgetLeaves(int leaves) {
    for (int at = 0; at < leaves; at++) {
      Leaf leaf = pages.leaf(0, at);
      for (int index = 0; index < leaf.size(); index++) {
        forget(leaf, at, index);
      }
    }
  }

  /** An event of a leaf of the first page. If its value has a later occurrence, the value's entry leads there. */
  private void forget(Leaf leaf, int at, int index) {
    Event event = leaf.event(index);
    ids.remove(event.id(), event.eventTime());
    for (Column column : head.columns.all()) {
      if (column.kind == Column.Kind.LATEST && column.isBuilt
          && Bits.get(pages.get(0).values(column)[0][at], leaf.slot(index))) {
        occurrences.evict(column, event, leaf.name(index));
      }
    }
  }
}
