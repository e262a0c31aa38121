package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.Event;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** All events of a key in their order: pages of leaves. Ordinals are positions in it. */
final class Pages {
  private final Blocks blocks;
  private final Columns columns;
  private final List<Page> pages = new ArrayList<>();
  private final Map<Integer, Leaf> leaves = new HashMap<>();
  private int[] starts = new int[1];
  private int validStarts;
  private int nextLeaf;
  private int nextPage;

  Pages(Blocks blocks, Columns columns, int nextLeaf, int nextPage) {
    this.blocks = blocks;
    this.columns = columns;
    this.nextLeaf = nextLeaf;
    this.nextPage = nextPage;
  }

  Columns columns() {
    return columns;
  }

  int nextLeaf() {
    return nextLeaf;
  }

  int nextPage() {
    return nextPage;
  }

  /** Add a page that is in the store. */
  void addStored(int id, long firstTime, int size) {
    pages.add(Page.stored(blocks, columns, id, firstTime, size));
  }

  int count() {
    return pages.size();
  }

  Page get(int page) {
    return pages.get(page);
  }

  Leaf leaf(int page, int leaf) {
    int id = pages.get(page).leaves().id(leaf);
    Leaf known = leaves.get(id);
    if (known == null) {
      known = Leaf.stored(blocks, id);
      leaves.put(id, known);
    }
    return known;
  }

  Leaf leaf(Position at) {
    return leaf(at.page(), at.leaf());
  }

  /** How many events there are. */
  int size() {
    int last = pages.size() - 1;
    return last < 0 ? 0 : start(last) + pages.get(last).size;
  }

  /** The ordinal of a page's first event. */
  int start(int page) {
    if (starts.length < pages.size()) {
      starts = Arrays.copyOf(starts, pages.size() * 2);
    }
    for (; validStarts < pages.size(); validStarts++) {
      starts[validStarts] = validStarts == 0 ? 0 : starts[validStarts - 1] + pages.get(validStarts - 1).size;
    }
    return starts[page];
  }

  /** The time of the last event; there has to be one. */
  long lastTime() {
    Page page = pages.get(pages.size() - 1);
    Leaf leaf = leaf(pages.size() - 1, page.count() - 1);
    return leaf.time(leaf.size() - 1);
  }

  int ordinal(Position at) {
    return start(at.page()) + pages.get(at.page()).leaves().start(at.leaf()) + at.index();
  }

  Position at(int ordinal) {
    start(0);
    int page = Arrays.binarySearch(starts, 0, pages.size(), ordinal);
    page = page < 0 ? -page - 2 : page;
    int inPage = ordinal - starts[page];
    LeafList of = pages.get(page).leaves();
    int leaf = of.leafAt(inPage);
    return new Position(page, leaf, inPage - of.start(leaf));
  }

  /** The ordinal of the first event that is later than a time. */
  int firstAfter(long time) {
    int page = lastPage(time);
    if (page < 0) {
      return 0;
    }
    int leaf = pages.get(page).leaves().last(time);
    return start(page) + pages.get(page).leaves().start(leaf) + leaf(page, leaf).firstAfter(time);
  }

  /**
   * Where the first event is that is not before one of a time and transaction id; at the end of a leaf where it would
   * be added.
   */
  Position lowerBound(long time, String id) {
    int page = Math.max(0, lastPage(time));
    while (page > 0 && isAfter(page, 0, time, id)) {
      page--;
    }
    int low = 0;
    int high = pages.get(page).count() - 1;
    while (low < high) {
      int middle = (low + high + 1) >>> 1;
      if (isAfter(page, middle, time, id)) {
        high = middle - 1;
      } else {
        low = middle;
      }
    }
    return new Position(page, low, leaf(page, low).lowerBound(time, id));
  }

  /** The page and leaf of an event that is there; without reading a leaf unless several begin at its time. */
  Position locate(Name name) {
    int page = lastPage(name.time());
    int leaf = page < 0 ? -1 : pages.get(page).leaves().last(name.time());
    while (leaf >= 0) {
      boolean isOnly = pages.get(page).leaves().firstTime(leaf) < name.time() || page == 0 && leaf == 0;
      if (isOnly || leaf(page, leaf).find(name) >= 0) {
        return new Position(page, leaf, -1);
      }
      if (leaf == 0) {
        page--;
        leaf = pages.get(page).count();
      }
      leaf--;
    }
    throw new IllegalStateException(
        "the state of a key is damaged: a link leads to an event at " + name.time() + " that is not there");
  }

  /** Insert a page without leaves. */
  Page insertPage(int at) {
    for (Column column : columns.all()) {
      column.insertPage(at, pages.size());
    }
    Page page = Page.empty(blocks, columns, nextPage++);
    pages.add(at, page);
    changed(at);
    return page;
  }

  /** Take out a page with its blocks and those of its leaves. */
  void removePage(int at) {
    Page page = pages.get(at);
    removeLeaves(at, 0, page.count());
    page.removeBlocks();
    for (Column column : columns.all()) {
      column.removePage(at, pages.size());
    }
    pages.remove(at);
    changed(at);
  }

  /** Take out leaves [from, to) of a page with their blocks. */
  void removeLeaves(int page, int from, int to) {
    for (int leaf = from; leaf < to; leaf++) {
      leaf(page, leaf).removeBlocks();
      leaves.remove(pages.get(page).leaves().id(leaf));
    }
    pages.get(page).removeLeaves(from, to);
    changed(page);
  }

  /** A new leaf that no page has yet. */
  Leaf newLeaf() {
    Leaf leaf = Leaf.empty(blocks, nextLeaf++);
    leaves.put(leaf.id, leaf);
    return leaf;
  }

  /** Note that the number of events of a page has changed. */
  void changed(int page) {
    validStarts = Math.min(validStarts, page);
  }

  void save() {
    for (Leaf leaf : leaves.values()) {
      leaf.save(number -> columns.numbered(number) != null);
    }
    pages.forEach(Page::save);
  }

  private boolean isAfter(int page, int leaf, long time, String id) {
    long first = leaf == 0 ? pages.get(page).firstTime : pages.get(page).leaves().firstTime(leaf);
    return first > time || first == time && Event.compareTexts(leaf(page, leaf).id(0), id) > 0;
  }

  /** The last page that begins at or before a time; −1 if none. */
  private int lastPage(long time) {
    int low = 0;
    int high = pages.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (pages.get(middle).firstTime <= time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - 1;
  }
}
