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
 * @param partition of the message that it came in
 * @param offset of the message that it came in
 * @param event the transaction; null for a profile
 * @param profile the profile; null for a transaction
 */
record Arrival(long time, int partition, long offset, Event event, Profile profile) {
  private static final int TRANSACTION = 0;
  private static final int PROFILE = 1;

  /** Its bytes. */
  byte[] toBytes() {
    ByteWriter writer = new ByteWriter(256);
    writer.octet(event != null ? TRANSACTION : PROFILE).signed(time).signed(partition).signed(offset);
    if (event != null) {
      EventCodec.write(writer, event);
      return writer.toBytes();
    }
    ProfileCodec.write(writer, profile);
    return writer.toBytes();
  }

  /** The arrival of bytes. */
  static Arrival of(byte[] bytes) {
    ByteReader reader = new ByteReader(bytes);
    int kind = reader.octet();
    long time = reader.signed();
    int partition = (int) reader.signed();
    long offset = reader.signed();
    if (kind == TRANSACTION) {
      return new Arrival(time, partition, offset, EventCodec.read(reader), null);
    }
    return new Arrival(time, partition, offset, null, ProfileCodec.read(reader));
  }
}
