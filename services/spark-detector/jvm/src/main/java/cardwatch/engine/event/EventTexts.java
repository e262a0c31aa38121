package cardwatch.engine.event;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * TEXT fields of a list of events. Each row is packed by itself and unpacked when it is asked for.
 *
 * <p>A row is the transaction id; a bit for each other field that differs from the model row; and those fields as
 * entries of the dictionary, 0 for null. The model row is the first row that was inserted: most texts of a key are the
 * same in all rows.
 */
public final class EventTexts {
  private static final int FIELDS = Field.AMOUNT_MINOR.ordinal();

  private final List<String> dictionary = new ArrayList<>();
  private final List<byte[]> rows;
  private final int[] model = new int[FIELDS];
  private Map<String, Integer> entries;
  private boolean hasModel;
  private boolean hasUnusedEntries;

  /** An empty list that has room for some events at first and grows. */
  public EventTexts(int room) {
    rows = new ArrayList<>(room);
  }

  /** The texts of an event by the positions of their fields. */
  public String[] get(int at) {
    ByteReader reader = new ByteReader(rows.get(at));
    String[] texts = new String[FIELDS];
    texts[0] = reader.text();
    int differing = reader.count();
    for (int field = 1; field < FIELDS; field++) {
      int entry = (differing >> field & 1) != 0 ? reader.count() : model[field];
      texts[field] = entry == 0 ? null : dictionary.get(entry - 1);
    }
    return texts;
  }

  /** The transaction id of an event. */
  public String id(int at) {
    return new ByteReader(rows.get(at)).text();
  }

  /** Insert an event before the one at a position. */
  public void insert(int at, Event event) {
    insert(at, event.texts());
  }

  void insert(int at, String[] texts) {
    ByteWriter writer = new ByteWriter(48).text(texts[0]);
    int[] row = new int[FIELDS];
    int differing = 0;
    for (int field = 1; field < FIELDS; field++) {
      row[field] = texts[field] == null ? 0 : entry(texts[field]);
      if (!hasModel) {
        model[field] = row[field];
      }
      differing |= row[field] != model[field] ? 1 << field : 0;
    }
    hasModel = true;
    writer.unsigned(differing);
    for (int field = 1; field < FIELDS; field++) {
      if ((differing >> field & 1) != 0) {
        writer.unsigned(row[field]);
      }
    }
    rows.add(at, writer.toBytes());
  }

  /** Remove the events of [from, to). */
  public void remove(int from, int to) {
    rows.subList(from, to).clear();
    hasUnusedEntries |= from < to;
  }

  /** Remove the events from a position on, and return them. */
  public EventTexts split(int at) {
    EventTexts tail = new EventTexts(rows.size());
    for (int row = at; row < rows.size(); row++) {
      tail.insert(row - at, get(row));
    }
    remove(at, rows.size());
    return tail;
  }

  /** Pack them. */
  public void write(ByteWriter writer) {
    if (hasUnusedEntries) {
      rebuild();
    }
    writer.unsigned(dictionary.size());
    dictionary.forEach(writer::text);
    for (int field = 1; field < FIELDS; field++) {
      writer.unsigned(model[field]);
    }
    rows.forEach(writer::block);
  }

  /** Unpack a list of a given size. */
  public static EventTexts read(ByteReader reader, int size) {
    EventTexts texts = new EventTexts(size + 1);
    for (int left = reader.count(); left > 0; left--) {
      texts.dictionary.add(reader.text());
    }
    for (int field = 1; field < FIELDS; field++) {
      texts.model[field] = reader.count();
    }
    texts.hasModel = size > 0;
    for (int at = 0; at < size; at++) {
      texts.rows.add(reader.block());
    }
    return texts;
  }

  private int entry(String text) {
    if (entries == null) {
      entries = new HashMap<>();
      for (int at = 0; at < dictionary.size(); at++) {
        entries.put(dictionary.get(at), at + 1);
      }
    }
    Integer known = entries.putIfAbsent(text, dictionary.size() + 1);
    if (known != null) {
      return known;
    }
    dictionary.add(text);
    return dictionary.size();
  }

  private void rebuild() {
    List<String[]> all = new ArrayList<>(rows.size());
    for (int at = 0; at < rows.size(); at++) {
      all.add(get(at));
    }
    rows.clear();
    dictionary.clear();
    entries = new HashMap<>();
    hasModel = false;
    all.forEach(texts -> insert(rows.size(), texts));
    hasUnusedEntries = false;
  }
}
