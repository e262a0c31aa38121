package cardwatch.engine.spark;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The trace that a message belongs to, as W3C Trace Context writes it in headers (cardwatch_service.trace_context does
 * the same). That nothing in it can be a card number the enricher has seen to, which writes the messages that are read.
 *
 * @param traceId 32 hexadecimal digits
 * @param spanId 16 hexadecimal digits: the span that the next one continues
 * @param state the value of {@code tracestate}; empty if there is none
 */
record TraceContext(String traceId, String spanId, String state) {
  static final String PARENT = "traceparent";
  static final String STATE = "tracestate";

  private static final Pattern SAMPLED = Pattern.compile(
      "(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-[0-9a-f][13579bdf](-[!-~]*)?");
  private static final Pattern PLAIN_STATE = Pattern.compile("[ -~]{1,512}");
  private static final int MAX_BYTES = 512;
  // Card numbers have 13 digits at least; the flags follow the last digits.
  private static final Pattern DIGITS = Pattern.compile("[0-9]{13}");
  private static final String RECORDED = "-01";
  private static final String NOT_RECORDED = "-00";
  private static final int HEXADECIMAL = 16;
  private static final double TWO_TO_THE_64TH = 0x1p64;

  /** The context in two headers, each null if it is missing; null unless it is valid and its trace is sampled. */
  static TraceContext of(byte[] parent, byte[] state) {
    if (parent == null || parent.length > MAX_BYTES) {
      return null;
    }
    Matcher found = SAMPLED.matcher(new String(parent, StandardCharsets.ISO_8859_1));
    // A later version may add parts; the first ones mean the same in all.
    if (!found.matches() || found.group(1).equals("00") && found.group(4) != null) {
      return null;
    }
    String text = state == null ? "" : new String(state, StandardCharsets.ISO_8859_1).strip();
    return new TraceContext(found.group(2), found.group(3), PLAIN_STATE.matcher(text).matches() ? text : "");
  }

  /** The context of a new span in the same trace, whose id is random and no part of a card number. */
  TraceContext next() {
    while (true) {
      // Begins with a, b, e or f, so that it does not continue the digits before it.
      String id = Long.toHexString(ThreadLocalRandom.current().nextLong() | 0xAL << 60);
      if (!DIGITS.matcher(id + "01").find()) {
        return new TraceContext(traceId, id, state);
      }
    }
  }

  /**
   * Whether a tracer that records a share of all traces, 0 to 1, records this one: what OpenTelemetry's
   * TraceIdRatioBased decides.
   */
  boolean isRecorded(double share) {
    double half = Long.parseUnsignedLong(traceId.substring(16), HEXADECIMAL) >>> 1;
    return share >= 1 || half * 2 < share * TWO_TO_THE_64TH;
  }

  /** The value of {@code traceparent}. */
  String parent(boolean recorded) {
    return "00-" + traceId + "-" + spanId + (recorded ? RECORDED : NOT_RECORDED);
  }
}
