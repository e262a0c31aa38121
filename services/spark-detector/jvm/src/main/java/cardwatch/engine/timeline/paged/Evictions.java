package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import java.util.ArrayList;
import java.util.List;

/**
 * What has been evicted, so that a link to an event that is no more is known without looking: an event is gone if it is
 * not later than an eviction's time and had arrived before it. Times fall from one entry to the next, arrival numbers
 * rise; usually there is one entry.
 */
final class Evictions {
  private final List<long[]> entries = new ArrayList<>();

  /**
   * Note that events not later than a time are evicted, of those that have arrived: their arrival numbers are smaller.
   */
  void add(long time, long nextArrival) {
    entries.removeIf(entry -> entry[0] <= time);
    entries.add(new long[] {time, nextArrival});
  }

  boolean isGone(Name name) {
    for (long[] entry : entries) {
      if (name.time() <= entry[0] && name.arrival() < entry[1]) {
        return true;
      }
    }
    return false;
  }

  void write(ByteWriter writer) {
    writer.unsigned(entries.size());
    entries.forEach(entry -> writer.signed(entry[0]).unsigned(entry[1]));
  }

  static Evictions read(ByteReader reader) {
    Evictions evictions = new Evictions();
    for (int left = reader.count(); left > 0; left--) {
      evictions.entries.add(new long[] {reader.signed(), reader.unsigned()});
    }
    return evictions;
  }
}
