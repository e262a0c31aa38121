package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.Event;
import java.util.function.BiConsumer;

/** Fills columns of new rules from the events; each reads all events once. */
final class ColumnBuilder {
  private final Pages pages;
  private final Editor editor;
  private final Occurrences occurrences;

  ColumnBuilder(Pages pages, Editor editor, Occurrences occurrences) {
    this.pages = pages;
    this.editor = editor;
    this.occurrences = occurrences;
  }

  /** Fill a column, and its mask, if that has not been done; the first events may be hidden. */
  void build(Column column, int hidden) {
    if (column.isBuilt) {
      return;
    }
    if (column.masked != null) {
      build(column.masked, hidden);
    }
    column.isBuilt = true;
    switch (column.kind) {
      case MASK -> buildMask(column);
      case LATEST -> buildLatest(column, hidden);
      default -> buildSummary(column);
    }
  }

  private void buildMask(Column column) {
    forEach(0, (event, at) -> {
      long[] bits = pages.get(at.page()).changing(column)[0];
      bits[at.leaf()] = Bits.with(bits[at.leaf()], at.index(), column.mask.includes(event));
    });
    for (int page = 0; page < pages.count(); page++) {
      editor.total(column, page);
    }
  }

  private void buildLatest(Column column, int hidden) {
    column.isNew = true;
    forEach(hidden, (event, at) -> {
      if (isIncluded(column, at)) {
        occurrences.add(column, event, at);
      }
    });
  }

  private void buildSummary(Column column) {
    for (int page = 0; page < pages.count(); page++) {
      Page of = pages.get(page);
      for (int leaf = 0; leaf < of.count(); leaf++) {
        Editor.summarize(column, of, leaf, pages.leaf(page, leaf));
      }
      editor.total(column, page);
    }
  }

  private boolean isIncluded(Column column, Position at) {
    return Bits.get(pages.get(at.page()).values(column.masked)[0][at.leaf()], at.index());
  }

  private void forEach(int hidden, BiConsumer<Event, Position> action) {
    int ordinal = 0;
    for (int page = 0; page < pages.count(); page++) {
      for (int leaf = 0; leaf < pages.get(page).count(); leaf++) {
        Leaf of = pages.leaf(page, leaf);
        for (int index = 0; index < of.size(); index++) {
          if (ordinal++ >= hidden) {
            action.accept(of.event(index), new Position(page, leaf, index));
          }
        }
      }
    }
  }
}
