package cardwatch.engine.program;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Compiled rules. Threads may share them.
 *
 * @param scopes by the scope's name
 * @param setAside rules that are not among them because they use what this engine does not know
 */
public record Program(Map<String, ScopeProgram> scopes, List<SetAside> setAside) {
  /** The version of programs that this engine reads (docs/rule-program.md). */
  public static final int VERSION = 1;

  // Two levels per expression; how deep expressions are is limited where rules are checked.
  private static final int MAX_DEPTH = 10_000;

  private static final ObjectMapper JSON = new ObjectMapper(JsonFactory.builder()
          .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(MAX_DEPTH).build())
          .build());

  /** Copies. */
  public Program {
    scopes = Map.copyOf(scopes);
    setAside = List.copyOf(setAside);
  }

  /**
   * Read a program.
   *
   * @param programJson as docs/rule-program.md says
   * @param listsJson name of a list → its values: {@code {"trusted-merchants": ["m1", "m2"]}}
   * @throws IllegalArgumentException one of them is not such JSON at all; whatever is wrong with one rule sets that
   *     rule aside
   */
  public static Program parse(String programJson, String listsJson) {
    JsonNode program = tree(programJson, "a program of rules");
    Map<String, Set<String>> lists = lists(tree(listsJson, "lists"));
    if (!program.path("rules").isArray()) {
      throw new IllegalArgumentException("expected a program of rules, got JSON without a list `rules`");
    }
    boolean known = program.path("version").isIntegralNumber() && program.path("version").longValue() == VERSION;
    Map<String, ScopeBuilder> scopes = new LinkedHashMap<>();
    List<SetAside> setAside = new ArrayList<>();
    RuleParser parser = new RuleParser(lists, scopes);
    for (JsonNode rule : program.get("rules")) {
      try {
        if (!known) {
          throw new UnknownInstructionException(
              "this engine reads programs of version " + VERSION + ", got " + program.path("version"));
        }
        parser.add(rule);
      } catch (UnknownInstructionException error) {
        setAside.add(new SetAside(rule.path("id").asText(), rule.path("version").asInt(), error.getMessage()));
      }
    }
    Map<String, ScopeProgram> compiled = new TreeMap<>();
    scopes.forEach((scope, builder) -> compiled.put(scope, builder.build()));
    return new Program(compiled, setAside);
  }

  private static JsonNode tree(String json, String what) {
    try {
      JsonNode tree = JSON.readTree(json);
      if (!tree.isObject()) {
        throw new IllegalArgumentException("expected " + what + " as a JSON object, got " + tree.getNodeType());
      }
      return tree;
    } catch (JsonProcessingException error) {
      throw new IllegalArgumentException("expected " + what + " as JSON: " + error.getOriginalMessage(), error);
    }
  }

  private static Map<String, Set<String>> lists(JsonNode json) {
    Map<String, Set<String>> lists = new TreeMap<>();
    json.properties().forEach(list -> {
      Set<String> values = new HashSet<>();
      list.getValue().forEach(value -> values.add(value.asText()));
      lists.put(list.getKey(), Set.copyOf(values));
    });
    return lists;
  }
}
