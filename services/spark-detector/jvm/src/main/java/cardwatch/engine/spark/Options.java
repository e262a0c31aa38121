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
 * @param alerts how alerts are published
 * @param late how transactions that came too late are published
 * @param traceShare the share of the sampled traces that are recorded, 0 to 1; null where traces are off
 */
record Options(List<Scope> scopes, String profileScope, Alerts alerts, Late late, Double traceShare)
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
   * How alerts are published.
   *
   * @param topic full name of their topic
   * @param schema their Avro schema
   * @param schemaId the id under which it is registered
   * @param evidenceLimit how many transaction ids an alert lists at most
   */
  record Alerts(String topic, String schema, int schemaId, int evidenceLimit) implements Serializable {}

  /**
   * How late transactions are published.
   *
   * @param topic full name of their topic
   * @param detector the detector's name, which analysts know
   * @param query the query's name, which tells apart detectors of one name
   */
  record Late(String topic, String detector, String query) implements Serializable {}

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
      JsonNode alerts = tree.required("alerts");
      JsonNode late = tree.required("late");
      JsonNode share = tree.required("trace_share");
      return new Options(List.copyOf(scopes), profileScope.isNull() ? null : profileScope.asText(),
          new Alerts(alerts.required("topic").asText(), alerts.required("schema").asText(),
              alerts.required("schema_id").asInt(), alerts.required("evidence_limit").asInt()),
          new Late(
              late.required("topic").asText(), late.required("detector").asText(), late.required("query").asText()),
          share.isNull() ? null : share.asDouble());
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
