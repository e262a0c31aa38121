package cardwatch.engine.spark;

import cardwatch.engine.event.Field;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * What the operator is started with; it does not change while the query runs.
 *
 * @param scopes over which windows are
 * @param profileScope the scope whose keys have profiles; null where records have none
 * @param alertSchema the Avro schema of alerts
 * @param alertSchemaId the id under which it is registered
 * @param evidenceLimit how many transaction ids an alert lists at most
 */
record Options(List<Scope> scopes, String profileScope, String alertSchema, int alertSchemaId, int evidenceLimit)
    implements Serializable {
  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * A scope of windows.
   *
   * @param name as in rules: {@code card}
   * @param keyField the field of a transaction that is its key
   * @param horizonUs how far back from an arrival windows and suppression reach, microseconds
   */
  record Scope(String name, Field keyField, long horizonUs) implements Serializable {}

  /**
   * Read options.
   *
   * @throws IllegalArgumentException they are not complete
   */
  static Options parse(String json) {
    try {
      JsonNode tree = JSON.readTree(json);
      List<Scope> scopes = new ArrayList<>();
      for (JsonNode scope : tree.required("scopes")) {
        scopes.add(new Scope(scope.required("name").asText(), Field.of(scope.required("key_field").asText()),
            scope.required("horizon_us").asLong()));
      }
      JsonNode profileScope = tree.required("profile_scope");
      return new Options(List.copyOf(scopes), profileScope.isNull() ? null : profileScope.asText(),
          tree.required("alert_schema").asText(), tree.required("alert_schema_id").asInt(),
          tree.required("evidence_limit").asInt());
    } catch (JsonProcessingException error) {
      throw new IllegalArgumentException(
          "expected the operator's options as JSON: " + error.getOriginalMessage(), error);
    }
  }

  /** The scope of a name. */
  Scope scope(String name) {
    for (Scope scope : scopes) {
      if (scope.name().equals(name)) {
        return scope;
      }
    }
    throw new IllegalArgumentException("there is no scope " + name);
  }
}
