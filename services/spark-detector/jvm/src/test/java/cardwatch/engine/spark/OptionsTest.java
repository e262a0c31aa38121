package cardwatch.engine.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import cardwatch.engine.event.Field;
import org.junit.jupiter.api.Test;

class OptionsTest {
  private static final String JSON = """
      {"scopes": [{"name": "card", "key_field": "card_token", "horizon_us": 7}], "profile_scope": null,
       "alerts": {"topic": "alerts", "schema": "{}", "schema_id": 4, "evidence_limit": 9},
       "late": {"topic": "late", "detector": "d", "query": "q"}, "trace_share": null}""";

  @Test
  void optionsAreRead() {
    Options options = Options.parse(JSON);
    assertEquals(new Options.Scope("card", Field.CARD_TOKEN, 7), options.scope("card"));
    assertNull(options.profileScope());
    assertEquals(new Options.Alerts("alerts", "{}", 4, 9), options.alerts());
    assertEquals(new Options.Late("late", "d", "q"), options.late());
    assertNull(options.traceShare());
    assertEquals(0.5, Options.parse(JSON.replace("_share\": null", "_share\": 0.5")).traceShare());
  }

  @Test
  void whatIsMissingIsNamed() {
    var error =
        assertThrows(IllegalArgumentException.class, () -> Options.parse(JSON.replace("evidence_limit", "evidence")));
    assertTrue(error, "evidence_limit");
    assertTrue(assertThrows(IllegalArgumentException.class, () -> Options.parse("{")), "as JSON");
  }

  private static void assertTrue(Exception error, String part) {
    org.junit.jupiter.api.Assertions.assertTrue(error.getMessage().contains(part), error.getMessage());
  }
}
