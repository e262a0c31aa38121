package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.Mask;
import cardwatch.engine.timeline.Track;
import java.util.Arrays;

/**
 * What is kept about each leaf and each page for one mask, one track or the hits of one rule.
 *
 * <p>Of a leaf, MASK and HITS keep a bit for each event by its position, LATEST a bit by its slot: whether its value
 * has no later occurrence. Of a page they keep how many bits are set. The others keep the same of leaves and pages: SUM
 * the sum, SQUARES an {@link ExactSums}, EXTREMES the smallest and the largest value.
 */
final class Column {
  /** What is kept. */
  enum Kind {
    MASK(1),
    SUM(1),
    SQUARES(ExactSums.WIDTH),
    EXTREMES(2),
    LATEST(1),
    HITS(1);

    final int width;

    Kind(int width) {
      this.width = width;
    }

    boolean isBits() {
      return this == MASK || this == LATEST || this == HITS;
    }

    static Kind of(Track.Kind track) {
      return switch (track) {
        case SUM -> SUM;
        case SQUARES -> SQUARES;
        case EXTREMES -> EXTREMES;
        case DISTINCT -> LATEST;
      };
    }
  }

  final Kind kind;
  final long fingerprint;

  /** Its number in blocks: never used again for another one of the key. */
  final int number;

  /** Its position in pages while this key is open. */
  final int index;

  /** What it is kept of; null for HITS. The mask of a track's column is the column of its mask. */
  Mask mask;

  Column masked;
  Field field;

  /** Whether it is filled; a column of a new rule is filled when it is first needed, if there are events. */
  boolean isBuilt;

  /**
   * Of LATEST: whether no rule needs it any more. It takes no events then, and goes with those that it has: taking them
   * out at once would read all events.
   */
  boolean isRetired;

  /** Of a retired one: the time of its last event, microseconds. */
  long retiredAt;

  /** Whether it was filled since the key was opened: the store has no values of it, and need not be asked. */
  boolean isNew;

  /** Of HITS: the time from which on they are known, microseconds. */
  long knownFrom = Long.MAX_VALUE;

  /** [what][page]. */
  long[][] totals;

  Column(Kind kind, long fingerprint, int number, int index, int pages) {
    this.kind = kind;
    this.fingerprint = fingerprint;
    this.number = number;
    this.index = index;
    this.isBuilt = kind == Kind.HITS || pages == 0;
    this.totals = new long[kind.width][Math.max(4, pages + 1)];
    for (int page = 0; page < totals[0].length; page++) {
      Summaries.clear(kind, totals, page);
    }
  }

  /** Make room for a page before the one at a position, of which there are some already. */
  void insertPage(int at, int pages) {
    for (int part = 0; part < kind.width; part++) {
      if (totals[part].length == pages) {
        totals[part] = Arrays.copyOf(totals[part], pages * 2);
      }
      System.arraycopy(totals[part], at, totals[part], at + 1, pages - at);
    }
    Summaries.clear(kind, totals, at);
  }

  /** Take out a page. */
  void removePage(int at, int pages) {
    for (long[] part : totals) {
      System.arraycopy(part, at + 1, part, at, pages - at - 1);
    }
  }
}
