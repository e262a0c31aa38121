package cardwatch.engine.program;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.Mask;
import cardwatch.engine.timeline.Track;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ProgramTest {
  private static final String TRUE = "{'op':'literal','type':'boolean','value':true}";
  private static final String IN_LIST =
      "{'op':'in_list','list':'known','args':[{'op':'field','type':'text','name':'country'}]}";
  private static final String GOOD = rule("good", "", TRUE);

  @ParameterizedTest
  @CsvSource(delimiter = '|',
      value =
          {
              "{'op':'sqrt','args':[]}|there is no operation `sqrt`",
              "{'op':'field','type':'money','name':'country'}|there is no type `money`",
              "{'op':'field','type':'integer','name':'country'}|expected integer, got text",
              "{'op':'field','type':'text','name':'colour'}|there is no field colour",
              "{'op':'profile','type':'double','name':'age'}|there is no field `profile.age`",
              "{'op':'measure','type':'integer','index':0}|the rule has 0 measures, none at 0",
              "{'op':'literal','type':'integer','value':1}|expected boolean, got integer",
              "{'op':'literal','type':'integer','value':9223372036854775808}|expected an integer of 64 bits",
              "{'op':'literal','type':'text','value':1}|expected a text",
              "{'op':'not','args':[]}|expected 1 arguments, got 0",
              "{'op':'and'}|expected a list at `args`",
              "{'of':'text'}|expected a text at `op`",
              "'true'|expected a text at `op`",
              "null|expected a text at `op`",
              "{'op':'lt','of':'double','args':[{'op':'literal','type':'integer','value':1},"
                  + "{'op':'literal','type':'double','value':1}]}|expected double, got integer",
              "{'op':'eq','of':'boolean','args':[{'op':'ceil','of':'integer','args':[{'op':'literal','type':'integer',"
                  + "'value':1}]}]}|expected 2 arguments",
              "{'op':'is_null','args':[{'op':'ceil','of':'integer','args':[{'op':'literal','type':'integer','value':1}]"
                  + "}]}"
                  + "|expected double, got integer",
          })
  void unknownInstructionSetsItsRuleAside(String when, String reason) {
    Program program = parse(1, GOOD, rule("bad", "", when), rule("other", "", TRUE));
    assertEquals(List.of("good", "other"), ids(program));
    assertEquals(1, program.setAside().size());
    SetAside setAside = program.setAside().get(0);
    assertEquals("bad", setAside.ruleId());
    assertEquals(7, setAside.version());
    assertTrue(setAside.reason().contains(reason), setAside.reason());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|',
      value =
          {
              "{'aggregate':'median','field':'amount_minor','type':'double'}|there is no aggregate `median`",
              "{'aggregate':'sum','field':'latitude','type':'double'}|the aggregate `sum` cannot take latitude",
              "{'aggregate':'min','field':'country','type':'text'}|the aggregate `min` cannot take country",
              "{'aggregate':'mean','type':'double'}|the aggregate `mean` cannot take whole transactions",
              "{'aggregate':'mean','field':'amount_minor','type':'integer'}|expected integer, got double",
              "{'aggregate':'count','type':'integer','where':{'op':'in_profile','name':'hours_90d','args':"
                  + "[{'op':'field','type':'integer','name':'hour_of_day'}]}}|`where` cannot use a profile",
              "{'aggregate':'count','type':'integer','where':{'op':'measure','type':'integer','index':0}}|0 measures",
              "{'aggregate':'count','type':'integer','window_us':-1}|expected a whole number at `window_us`",
          })
  void unknownMeasureSetsItsRuleAside(String measure, String reason) {
    String whole = measure.replaceFirst("\\{", "{'name':'m','expression':'m',")
                       .replaceFirst("}$", measure.contains("window_us") ? "}" : ",'window_us':1}");
    Program program = parse(1, rule("bad", whole, TRUE), GOOD);
    assertEquals(List.of("good"), ids(program));
    assertTrue(program.setAside().get(0).reason().contains(reason), program.setAside().get(0).reason());
    assertEquals(0, program.scopes().get("card").tracks().masks().size(), "of the rule that was set aside");
  }

  @Test
  void programOfAnotherVersionSetsAllRulesAside() {
    Program program = parse(2, GOOD, rule("other", "", TRUE));
    assertEquals(0, program.scopes().size());
    assertEquals(List.of("good", "other"), program.setAside().stream().map(SetAside::ruleId).toList());
    assertEquals("this engine reads programs of version 1, got 2", program.setAside().get(0).reason());
  }

  @Test
  void nestingThatIsTooDeepSetsItsRuleAside() {
    int depth = 501;
    String deep = "{'op':'not','args':[".repeat(depth) + TRUE + "]}".repeat(depth);
    Program program = parse(1, GOOD, rule("deep", "", deep));
    assertEquals(List.of("good"), ids(program));
    assertEquals("expressions are nested more than 500 deep", program.setAside().get(0).reason());
  }

  @Test
  void textThatIsNoProgramIsRefused() {
    for (String text : List.of("", "{", "[]", "{}", "{'version':1,'rules':{}}")) {
      assertThrows(IllegalArgumentException.class, () -> Program.parse(json(text), "{}"), text);
    }
  }

  @Test
  void pausedRuleIsLeftOut() {
    assertEquals(List.of("good"), ids(parse(1, rule("paused", "", TRUE).replace("live", "paused"), GOOD)));
  }

  @Test
  void whatSeveralRulesNeedIsThereOnce() {
    String sum = measure("sum", "'amount_minor'", 60, "integer");
    String mean = measure("mean", "'amount_minor'", 3600, "double");
    String count = measure("count", "null", 60, "integer");
    Program program = parse(1, rule("a", sum + "," + mean, TRUE), rule("b", mean + "," + count, TRUE));
    ScopeProgram scope = program.scopes().get("card");
    assertEquals(2, scope.tracks().masks().size());
    assertEquals(List.of(new Track(Track.Kind.SUM, 0, Field.AMOUNT_MINOR)), scope.tracks().tracks());
    assertEquals(3, scope.computations().size());
    assertEquals(List.of(0, 1), scope.rules().get(0).measures().stream().map(Measure::slot).toList());
    assertEquals(List.of(1, 2), scope.rules().get(1).measures().stream().map(Measure::slot).toList());
    assertEquals(3600, scope.rules().get(1).longestWindowUs());
    assertEquals(1, parse(1, GOOD).scopes().get("card").rules().get(0).longestWindowUs());
  }

  @Test
  void fingerprintIsOfWhatDecidesHits() {
    String measure = measure("sum", "'amount_minor'", 60, "integer");
    long fingerprint = fingerprint(rule("a", measure, TRUE), "{}");
    assertEquals(
        fingerprint, fingerprint(rule("b", measure, TRUE).replace("live", "shadow").replace("low", "high"), "{}"));
    assertEquals(fingerprint, fingerprint(rule("a", measure, TRUE), "{'known':['DE']}"));
    assertNotEquals(fingerprint, fingerprint(rule("a", measure, IN_LIST), "{}"));
    assertNotEquals(fingerprint, fingerprint(rule("a", measure.replace("60", "61"), TRUE), "{}"));
    assertNotEquals(fingerprint, fingerprint(rule("a", measure.replace("amount", "base_amount"), TRUE), "{}"));
    assertNotEquals(fingerprint, fingerprint(rule("a", measure, TRUE).replace("null,'uses", "5,'uses"), "{}"));
    assertNotEquals(fingerprint(rule("a", "", IN_LIST), "{}"), fingerprint(rule("a", "", IN_LIST), "{'known':['DE']}"));
    assertEquals(fingerprint(rule("a", "", IN_LIST), "{'known':['DE','AT']}"),
        fingerprint(rule("a", "", IN_LIST), "{'known':['AT','DE']}"));
  }

  @Test
  void maskFollowsItsList() {
    String measure = measure("count", "null", 60, "integer").replace("'where':null", "'where':" + IN_LIST);
    Mask with = mask(measure, "{'known':['DE']}");
    Event german = new Event.Builder().text(Field.TRANSACTION_ID, "t").text(Field.COUNTRY, "DE").build();
    Event somewhere = new Event.Builder().text(Field.TRANSACTION_ID, "t").build();
    assertTrue(with.includes(german));
    assertFalse(with.includes(somewhere));
    assertNotEquals(with.fingerprint(), mask(measure, "{}").fingerprint());
  }

  private static Mask mask(String measure, String lists) {
    String program = "{'version':1,'rules':[" + rule("a", measure, TRUE) + "]}";
    return Program.parse(json(program), json(lists)).scopes().get("card").tracks().masks().get(0);
  }

  private static long fingerprint(String rule, String lists) {
    return Program.parse(json("{'version':1,'rules':[" + rule + "]}"), json(lists))
        .scopes()
        .get("card")
        .rules()
        .get(0)
        .fingerprint();
  }

  private static Program parse(int version, String... rules) {
    return Program.parse(json("{'version':" + version + ",'rules':[" + String.join(",", rules) + "]}"), "{}");
  }

  private static List<String> ids(Program program) {
    return program.scopes().values().stream().flatMap(scope -> scope.rules().stream()).map(Rule::id).toList();
  }

  private static String rule(String id, String measures, String when) {
    return "{'id':'" + id + "','version':7,'title':'t','severity':'low','mode':'live','scope':'card',"
        + "'suppress_us':null,'uses_profile':false,'lists':[],'measures':[" + measures + "],'when':" + when + "}";
  }

  private static String measure(String aggregate, String field, long windowUs, String type) {
    return "{'name':'m','expression':'m','window_us':" + windowUs + ",'aggregate':'" + aggregate + "','field':" + field
        + ",'where':null,'type':'" + type + "'}";
  }

  private static String json(String text) {
    return text.replace('\'', '"');
  }
}
