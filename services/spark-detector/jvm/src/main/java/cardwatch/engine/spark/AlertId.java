package cardwatch.engine.spark;

import cardwatch.engine.program.Rule;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.UUID;

/**
 * The identity of alerts, as cardwatch_contracts.identity defines it: UUIDv5 of rule id, version and transaction id.
 */
final class AlertId {
  private static final UUID NAMESPACE = UUID.fromString("5a0f6c4e-7f0b-5b0e-9d5c-2f6d1d6a9c11");

  private AlertId() {}

  /** The id of the alert that a version of a rule raises for a transaction. */
  static String of(Rule rule, String transactionId) {
    byte[] name = (rule.id() + "|" + rule.version() + "|" + transactionId).getBytes(StandardCharsets.UTF_8);
    ByteBuffer hashed = ByteBuffer.allocate(16 + name.length)
                            .putLong(NAMESPACE.getMostSignificantBits())
                            .putLong(NAMESPACE.getLeastSignificantBits())
                            .put(name);
    ByteBuffer digest = ByteBuffer.wrap(sha1().digest(hashed.array()));
    long high = digest.getLong() & ~0xF000L | 0x5000L; // version 5
    long low = digest.getLong() & ~(3L << 62) | 1L << 63; // the variant of RFC 9562
    return new UUID(high, low).toString();
  }

  private static MessageDigest sha1() {
    try {
      return MessageDigest.getInstance("SHA-1");
    } catch (NoSuchAlgorithmException error) {
      throw new IllegalStateException("this Java has no SHA-1, which each Java has to have", error);
    }
  }
}
