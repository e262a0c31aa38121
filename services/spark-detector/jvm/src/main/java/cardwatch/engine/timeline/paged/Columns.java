package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.Mask;
import cardwatch.engine.timeline.Track;
import cardwatch.engine.timeline.TrackSet;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The columns of a key: those of the program's masks and tracks, and one for each rule with hits. */
final class Columns {
  // Flags of columns that are written.
  private static final int BUILT = 1;
  private static final int RETIRED = 2;

  private final List<Column> all = new ArrayList<>();
  private final Map<Integer, Column> byNumber = new HashMap<>();
  private final Map<Long, Column> hits = new HashMap<>();
  private Column[] masks;
  private Column[] tracks;
  private int nextNumber;
  private int nextIndex;

  /** Masks first, so that a track finds its mask set. */
  List<Column> all() {
    return all;
  }

  Column mask(int mask) {
    return masks[mask];
  }

  Column track(int track) {
    return tracks[track];
  }

  /** The column of a number; null if it exists no more. */
  Column numbered(int number) {
    return byNumber.get(number);
  }

  /** One more than the largest index. */
  int indexes() {
    return nextIndex;
  }

  /** The column of a rule's hits, made if there is none. */
  Column hits(long fingerprint, int pages) {
    return hits.computeIfAbsent(fingerprint, rule -> add(Column.Kind.HITS, rule, nextNumber++, pages));
  }

  Map<Long, Column> hits() {
    return hits;
  }

  /** Have a column that no rule needs go: at once, or with its events, of which the last one is at a time. */
  void retire(Column column, long lastTime) {
    if (column.kind == Column.Kind.LATEST && column.isBuilt) {
      column.isRetired = true;
      column.retiredAt = lastTime;
    } else {
      remove(column);
    }
  }

  void remove(Column column) {
    all.remove(column);
    byNumber.remove(column.number);
    if (column.kind == Column.Kind.HITS) {
      hits.remove(column.fingerprint);
    }
  }

  /**
   * Give the columns of the head to the masks and tracks of the program, and make those that are missing.
   *
   * @return columns that the program does not need, which are still there; not those that are retired already
   */
  List<Column> bind(TrackSet program, int pages) {
    Map<Identity, Column> known = new HashMap<>();
    for (Column column : all) {
      if (column.kind != Column.Kind.HITS && !column.isRetired) {
        known.put(new Identity(column.kind, column.fingerprint), column);
      }
    }
    Set<Column> unneeded = new LinkedHashSet<>(known.values());
    masks = new Column[program.masks().size()];
    for (int at = 0; at < masks.length; at++) {
      Mask mask = program.masks().get(at);
      masks[at] = findOrAdd(known, Column.Kind.MASK, mask.fingerprint(), pages);
      masks[at].mask = mask;
      unneeded.remove(masks[at]);
    }
    tracks = new Column[program.tracks().size()];
    for (int at = 0; at < tracks.length; at++) {
      Track track = program.tracks().get(at);
      tracks[at] = findOrAdd(known, Column.Kind.of(track.kind()), program.fingerprint(at), pages);
      tracks[at].masked = masks[track.mask()];
      tracks[at].field = track.field();
      unneeded.remove(tracks[at]);
    }
    all.sort((one, two) -> one.kind.compareTo(two.kind));
    return List.copyOf(unneeded);
  }

  void write(ByteWriter writer, int pages) {
    writer.unsigned(nextNumber).unsigned(all.size());
    for (Column column : all) {
      writer.octet(column.kind.ordinal()).unsigned(column.number).fixed(column.fingerprint);
      writer.octet(column.field == null ? 0 : column.field.ordinal() + 1);
      writer.octet((column.isBuilt ? BUILT : 0) | (column.isRetired ? RETIRED : 0));
      writer.signed(column.isRetired ? column.retiredAt : column.knownFrom);
      Summaries.write(writer, column.kind, column.totals, pages, null);
    }
  }

  static Columns read(ByteReader reader, int pages) {
    Columns columns = new Columns();
    columns.nextNumber = reader.count();
    for (int left = reader.count(); left > 0; left--) {
      Column.Kind kind = Column.Kind.values()[reader.octet()];
      int number = reader.count();
      Column column = columns.add(kind, reader.fixed(), number, pages);
      int field = reader.octet();
      column.field = field == 0 ? null : Field.at(field - 1);
      int flags = reader.octet();
      column.isBuilt = (flags & BUILT) != 0;
      column.isRetired = (flags & RETIRED) != 0;
      column.knownFrom = reader.signed();
      column.retiredAt = column.knownFrom;
      Summaries.read(reader, kind, column.totals, pages, null);
      if (kind == Column.Kind.HITS) {
        columns.hits.put(column.fingerprint, column);
      }
    }
    return columns;
  }

  private Column findOrAdd(Map<Identity, Column> known, Column.Kind kind, long fingerprint, int pages) {
    Column found = known.get(new Identity(kind, fingerprint));
    return found != null ? found : add(kind, fingerprint, nextNumber++, pages);
  }

  private Column add(Column.Kind kind, long fingerprint, int number, int pages) {
    Column column = new Column(kind, fingerprint, number, nextIndex++, pages);
    all.add(column);
    byNumber.put(number, column);
    return column;
  }

  /** What a column of a mask or track is known by. */
  private record Identity(Column.Kind kind, long fingerprint) {}
}
