package cardwatch.engine.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

class TraceContextTest {
  private static final String TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
  private static final String SPAN = "00f067aa0ba902b7";

  @Test
  void aSampledTraceIsRead() {
    TraceContext expected = new TraceContext(TRACE, SPAN, "");
    assertEquals(expected, of("00-" + TRACE + "-" + SPAN + "-01", null));
    assertEquals(expected, of("00-" + TRACE + "-" + SPAN + "-03", ""));
    assertEquals(expected, of("01-" + TRACE + "-" + SPAN + "-01-more", "\u00e9"), "a later version, an invalid state");
    assertEquals(new TraceContext(TRACE, SPAN, "a=1,b=2"), of("00-" + TRACE + "-" + SPAN + "-01", " a=1,b=2 "));
  }

  @Test
  void whatIsNoSampledTraceIsNone() {
    assertNull(TraceContext.of(null, null));
    for (String parent : List.of("", "00-" + TRACE + "-" + SPAN + "-00", "00-" + TRACE + "-" + SPAN + "-01-more",
             "ff-" + TRACE + "-" + SPAN + "-01",
             "00-"
                 + "0".repeat(32) + "-" + SPAN + "-01",
             "00-" + TRACE + "-"
                 + "0".repeat(16) + "-01",
             "00-" + TRACE.toUpperCase() + "-" + SPAN + "-01",
             "01-" + TRACE + "-" + SPAN + "-01-"
                 + "x".repeat(512))) {
      assertNull(of(parent, null), parent);
    }
  }

  @Test
  void theNextSpanIsOfTheSameTraceAndNoPartOfACardNumber() {
    TraceContext context = new TraceContext(TRACE, SPAN, "a=1");
    for (int number = 0; number < 100_000; number++) {
      String id = context.next().spanId();
      assertTrue(id.matches("[abef][0-9a-f]{15}") && !(id + "01").matches(".*[0-9]{13}.*"), id);
    }
    assertEquals("00-" + TRACE + "-" + SPAN + "-01", context.parent(true));
    assertEquals("00-" + TRACE + "-" + SPAN + "-00", context.parent(false));
    assertEquals(TRACE, context.next().traceId());
    assertEquals("a=1", context.next().state());
  }

  @Test
  void aShareIsOfTheLowerHalfOfTheId() {
    TraceContext middle = new TraceContext("f".repeat(16) + "8000000000000000", SPAN, "");
    assertFalse(middle.isRecorded(0));
    assertFalse(middle.isRecorded(0.5));
    assertTrue(middle.isRecorded(0.51));
    assertTrue(new TraceContext("f".repeat(32), SPAN, "").isRecorded(1));
  }

  private static TraceContext of(String parent, String state) {
    return TraceContext.of(bytes(parent), state == null ? null : bytes(state));
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }
}
