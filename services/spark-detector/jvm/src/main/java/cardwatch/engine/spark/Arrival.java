package cardwatch.engine.spark;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.EventCodec;
import cardwatch.engine.program.Profile;
import cardwatch.engine.program.ProfileCodec;

/**
 * A transaction or a profile on its way to its key, as the bytes that Spark shuffles. They live as long as a
 * micro-batch.
 *
 * @param time the event time of a transaction; the beginning of the day that a profile is for; microseconds
 * @param place of the message that it came in
 * @param event the transaction; null for a profile
 * @param profile the profile; null for a transaction
 * @param original the message; null except on the way to the first of a transaction's keys, which publishes it if it is
 *     too late
 * @param trace the sampled trace that the message belongs to; null if there is none
 */
record Arrival(long time, Place place, Event event, Profile profile, Original original, TraceContext trace) {
  private static final int IS_PROFILE = 1;
  private static final int HAS_ORIGINAL = 2;
  private static final int HAS_TRACE = 4;

  /**
   * Where a message is in its topic.
   *
   * @param partition its partition
   * @param offset its offset
   */
  record Place(int partition, long offset) implements Comparable<Place> {
    @Override
    public int compareTo(Place other) {
      return partition != other.partition ? Integer.compare(partition, other.partition)
                                          : Long.compare(offset, other.offset);
    }
  }

  /** A profile. */
  static Arrival of(long time, Place place, Profile profile) {
    return new Arrival(time, place, null, profile, null, null);
  }

  /** Its bytes. */
  byte[] toBytes() {
    ByteWriter writer = new ByteWriter(512);
    writer.octet(
        (event == null ? IS_PROFILE : 0) | (original != null ? HAS_ORIGINAL : 0) | (trace != null ? HAS_TRACE : 0));
    writer.signed(time).signed(place.partition).signed(place.offset);
    if (original != null) {
      ByteWriter packed = new ByteWriter(256);
      writer.block(packed.text(original.key()).block(original.value()).text(original.scopes()).toBytes());
    }
    if (trace != null) {
      writer.text(trace.traceId()).text(trace.spanId()).text(trace.state());
    }
    if (event != null) {
      EventCodec.write(writer, event);
    } else {
      ProfileCodec.write(writer, profile);
    }
    return writer.toBytes();
  }

  /** The arrival of bytes; its message only if it is from before a watermark, microseconds: no other is needed. */
  static Arrival of(byte[] bytes, long watermark) {
    ByteReader reader = new ByteReader(bytes);
    int parts = reader.octet();
    long time = reader.signed();
    Place place = new Place((int) reader.signed(), reader.signed());
    Original original = null;
    if ((parts & HAS_ORIGINAL) != 0) {
      int length = reader.count();
      if (time < watermark) {
        original = new Original(reader.text(), reader.block(), reader.text());
      } else {
        reader.skip(length);
      }
    }
    TraceContext trace =
        (parts & HAS_TRACE) == 0 ? null : new TraceContext(reader.text(), reader.text(), reader.text());
    if ((parts & IS_PROFILE) != 0) {
      return of(time, place, ProfileCodec.read(reader));
    }
    return new Arrival(time, place, EventCodec.read(reader), null, original, trace);
  }
}
