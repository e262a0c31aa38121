package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;

/**
 * What each touch of a key reads: which pages there are, and what columns keep of them.
 *
 * <p>It grows by about 40 bytes with each page of 4,096 events.
 */
final class Head {
  final Columns columns;
  final Pages pages;
  final Evictions evictions;
  long nextArrival;

  /** How many events at the beginning of the first leaf are evicted, although they are still there. */
  int hidden;

  private Head(Columns columns, Pages pages, Evictions evictions) {
    this.columns = columns;
    this.pages = pages;
    this.evictions = evictions;
  }

  static Head empty(Blocks blocks) {
    Columns columns = new Columns();
    return new Head(columns, new Pages(blocks, columns, 0, 0), new Evictions());
  }

  byte[] write() {
    ByteWriter writer = new ByteWriter(1024).octet(PagedTimeline.LAYOUT).unsigned(nextArrival).unsigned(hidden);
    evictions.write(writer);
    writer.unsigned(pages.nextLeaf()).unsigned(pages.nextPage()).unsigned(pages.count());
    long previous = 0;
    for (int at = 0; at < pages.count(); at++) {
      Page page = pages.get(at);
      writer.unsigned(page.id).unsigned(page.size).signed(page.firstTime - previous);
      previous = page.firstTime;
    }
    columns.write(writer, pages.count());
    return writer.toBytes();
  }

  /**
   * The head of some bytes.
   *
   * @throws IllegalStateException they are damaged or of another layout
   */
  static Head read(Blocks blocks, byte[] bytes) {
    ByteReader reader = new ByteReader(bytes);
    reader.requireLayout(PagedTimeline.LAYOUT, "the state of a key");
    final long nextArrival = reader.unsigned();
    final int hidden = reader.count();
    Evictions evictions = Evictions.read(reader);
    int nextLeaf = reader.count();
    int nextPage = reader.count();
    long[][] stored = new long[reader.count()][];
    long time = 0;
    for (int at = 0; at < stored.length; at++) {
      stored[at] = new long[] {reader.count(), reader.count(), reader.signed()};
      time += stored[at][2];
      stored[at][2] = time;
    }
    Columns columns = Columns.read(reader, stored.length);
    Pages pages = new Pages(blocks, columns, nextLeaf, nextPage);
    for (long[] page : stored) {
      pages.addStored((int) page[0], page[2], (int) page[1]);
    }
    Head head = new Head(columns, pages, evictions);
    head.nextArrival = nextArrival;
    head.hidden = hidden;
    return head;
  }
}
