package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import java.util.Arrays;

/** Some successive leaves: which they are, and what columns keep about each. Read when it is needed. */
final class Page {
  final int id;

  /** The time of its first event and how many events it has; known without reading it. */
  long firstTime;

  int size;

  private final Blocks blocks;
  private final Columns columns;
  private LeafList leaves;
  private long[][][] values = new long[0][][];
  private boolean[] changedLatest = new boolean[0];
  private boolean hasSummaries;
  private boolean leavesChanged;
  private boolean summariesChanged;

  private Page(Blocks blocks, Columns columns, int id) {
    this.blocks = blocks;
    this.columns = columns;
    this.id = id;
  }

  static Page stored(Blocks blocks, Columns columns, int id, long firstTime, int size) {
    Page page = new Page(blocks, columns, id);
    page.firstTime = firstTime;
    page.size = size;
    return page;
  }

  static Page empty(Blocks blocks, Columns columns, int id) {
    Page page = new Page(blocks, columns, id);
    page.leaves = new LeafList(0);
    page.hasSummaries = true;
    for (Column column : columns.all()) {
      page.create(column);
    }
    page.leavesChanged = true;
    page.summariesChanged = true;
    return page;
  }

  /** Its leaves; to be read. */
  LeafList leaves() {
    if (leaves == null) {
      leaves = LeafList.read(blocks.read(Blocks.key(Blocks.PAGE, id)));
    }
    return leaves;
  }

  /** How many leaves it has. */
  int count() {
    return leaves().count();
  }

  /** Note that a leaf has other events now. */
  void resize(int leaf, int newSize, long newFirstTime) {
    loadSummaries();
    size += newSize - leaves.size(leaf);
    leaves.set(leaf, newSize, newFirstTime);
    firstTime = leaves.firstTime(0);
    leavesChanged = true;
    summariesChanged = true;
  }

  /** What a column keeps of the leaves, [part][leaf]; to be read. */
  long[][] values(Column column) {
    long[][] known = column.index < values.length ? values[column.index] : null;
    return known != null ? known : loadValues(column);
  }

  /** The same, to be changed. */
  long[][] changing(Column column) {
    long[][] known = values(column);
    if (column.kind == Column.Kind.LATEST) {
      changedLatest[column.index] = true;
    } else {
      summariesChanged = true;
    }
    return known;
  }

  /** Insert a leaf before the one at a position; columns keep nothing of it yet. */
  void insertLeaf(int at, int leafId, int leafSize, long leafFirstTime) {
    int count = count();
    for (Column column : columns.all()) {
      long[][] parts = changing(column);
      for (int part = 0; part < parts.length; part++) {
        if (parts[part].length == count) {
          parts[part] = Arrays.copyOf(parts[part], count * 2);
        }
        System.arraycopy(parts[part], at, parts[part], at + 1, count - at);
      }
      Summaries.clear(column.kind, parts, at);
    }
    leaves.insert(at, leafId, leafFirstTime);
    resize(at, leafSize, leafFirstTime);
  }

  /** Take out the leaves of [from, to). */
  void removeLeaves(int from, int to) {
    int count = count();
    for (Column column : columns.all()) {
      for (long[] part : changing(column)) {
        System.arraycopy(part, to, part, from, count - to);
      }
    }
    size -= leaves.remove(from, to);
    firstTime = count() == 0 ? 0 : leaves.firstTime(0);
    leavesChanged = true;
  }

  /** Move the leaves from a position on to a new page. */
  void split(int at, Page tail) {
    int count = count();
    for (int leaf = at; leaf < count; leaf++) {
      tail.insertLeaf(leaf - at, leaves.id(leaf), leaves.size(leaf), leaves.firstTime(leaf));
      for (Column column : columns.all()) {
        long[][] target = tail.changing(column);
        long[][] source = values(column);
        for (int part = 0; part < source.length; part++) {
          target[part][leaf - at] = source[part][leaf];
        }
      }
    }
    removeLeaves(at, count);
  }

  void save() {
    if (leavesChanged) {
      ByteWriter writer = Blocks.writer(1024);
      leaves.write(writer);
      blocks.write(Blocks.key(Blocks.PAGE, id), writer);
    }
    if (summariesChanged) {
      blocks.write(Blocks.key(Blocks.SUMMARIES, id), packSummaries());
    }
    for (Column column : columns.all()) {
      if (column.isBuilt && column.index < changedLatest.length && changedLatest[column.index]) {
        ByteWriter writer = Blocks.writer(600);
        Summaries.write(writer, column.kind, values(column), count(), leaves.sizes());
        blocks.write(Blocks.key(Blocks.LATEST, id, column.number), writer);
      }
    }
    leavesChanged = false;
    summariesChanged = false;
    Arrays.fill(changedLatest, false);
  }

  void removeBlocks() {
    blocks.remove(Blocks.key(Blocks.PAGE, id));
    blocks.remove(Blocks.key(Blocks.SUMMARIES, id));
    for (Column column : columns.all()) {
      removeLatest(column);
    }
  }

  /** Remove the block of a column of distinct values, if it is one. */
  void removeLatest(Column column) {
    if (column.kind == Column.Kind.LATEST) {
      blocks.remove(Blocks.key(Blocks.LATEST, id, column.number));
    }
  }

  private ByteWriter packSummaries() {
    loadSummaries();
    ByteWriter writer = Blocks.writer(4096);
    for (Column column : columns.all()) {
      if (column.isBuilt && column.kind != Column.Kind.LATEST && !isClear(column)) {
        writer.unsigned(column.number + 1L).octet(column.kind.ordinal());
        Summaries.write(writer, column.kind, values(column), count(), leaves.sizes());
      }
    }
    return writer.unsigned(0);
  }

  /** Whether no bit is set, as in most pages for the hits of most rules. */
  private boolean isClear(Column column) {
    return column.kind.isBits() && Arrays.stream(values(column)[0], 0, count()).allMatch(bits -> bits == 0);
  }

  private long[][] loadValues(Column column) {
    if (column.kind != Column.Kind.LATEST) {
      loadSummaries();
      return column.index < values.length && values[column.index] != null ? values[column.index] : create(column);
    }
    long[][] made = create(column);
    ByteReader reader = column.isBuilt ? blocks.find(Blocks.key(Blocks.LATEST, id, column.number)) : null;
    if (reader != null) {
      Summaries.read(reader, column.kind, made, count(), leaves.sizes());
    }
    return made;
  }

  /** Before a leaf's size changes: packed bits depend on the sizes. */
  private void loadSummaries() {
    if (hasSummaries) {
      return;
    }
    hasSummaries = true;
    ByteReader reader = blocks.read(Blocks.key(Blocks.SUMMARIES, id));
    for (int number = reader.count(); number != 0; number = reader.count()) {
      Column.Kind kind = Column.Kind.values()[reader.octet()];
      Column column = columns.numbered(number - 1);
      long[][] read = column == null ? new long[kind.width][count()] : create(column);
      Summaries.read(reader, kind, read, count(), leaves.sizes());
    }
  }

  private long[][] create(Column column) {
    if (column.index >= values.length) {
      values = Arrays.copyOf(values, columns.indexes());
      changedLatest = Arrays.copyOf(changedLatest, columns.indexes());
    }
    int room = leaves().room();
    long[][] made = new long[column.kind.width][room];
    for (int leaf = 0; leaf < room; leaf++) {
      Summaries.clear(column.kind, made, leaf);
    }
    values[column.index] = made;
    return made;
  }
}
