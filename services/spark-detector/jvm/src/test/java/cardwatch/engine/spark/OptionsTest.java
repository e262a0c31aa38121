package cardwatch.engine.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import cardwatch.engine.event.Field;
import org.junit.jupiter.api.Test;

class OptionsTest {
  private static final String JSON = """
      {"scopes": [{"name": "card", "key_field": "card_token", "horizon_us": 7}], "profile_scope": null,
       "alert_schema": "{}", "alert_schema_id": 4, "evidence_limit": 9}""";

  @Test
  void optionsAreRead() {
    Options options = Options.parse(JSON);
    assertEquals(new Options.Scope("card", Field.CARD_TOKEN, 7), options.scope("card"));
    assertNull(options.profileScope());
    assertEquals(9, options.evidenceLimit());
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
