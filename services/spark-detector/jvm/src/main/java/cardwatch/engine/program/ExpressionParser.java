package cardwatch.engine.program;

import cardwatch.engine.event.Field;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** Compiles the expressions of one rule from their JSON (docs/rule-program.md). */
final class ExpressionParser {
  /** Far more than a rule of 2,000 characters can have, far less than a thread's stack can take. */
  private static final int MAX_DEPTH = 500;

  private final Map<String, Set<String>> lists;
  private final List<Measure> measures;
  private final boolean profiles;
  private int depth;

  private ExpressionParser(Map<String, Set<String>> lists, List<Measure> measures, boolean profiles) {
    this.lists = lists;
    this.measures = measures;
    this.profiles = profiles;
  }

  /**
   * A parser for what may name fields only: {@code where}.
   *
   * @param lists values by the list's name; a list that is not there is empty
   */
  static ExpressionParser ofTransactions(Map<String, Set<String>> lists) {
    return new ExpressionParser(lists, List.of(), false);
  }

  /**
   * A parser for what may name measures and profiles as well: {@code when}.
   *
   * @param lists values by the list's name; a list that is not there is empty
   * @param measures those of the rule, in its order
   */
  static ExpressionParser ofRule(Map<String, Set<String>> lists, List<Measure> measures) {
    return new ExpressionParser(lists, measures, true);
  }

  /**
   * A condition.
   *
   * @throws UnknownInstructionException it uses what this engine does not know, or types that do not go together
   */
  BooleanExpression condition(JsonNode json) {
    return Json.as(BooleanExpression.class, parse(json), json);
  }

  /**
   * An expression of any type.
   *
   * @throws UnknownInstructionException as above
   */
  Expression parse(JsonNode json) {
    if (depth == MAX_DEPTH) {
      throw new UnknownInstructionException("expressions are nested more than " + MAX_DEPTH + " deep");
    }
    depth++;
    Expression expression = parse(Json.text(json, "op"), json);
    depth--;
    return expression;
  }

  private Expression parse(String op, JsonNode json) {
    return switch (op) {
      case "literal" -> Literals.parse(json);
      case "field" -> field(json);
      case "measure" -> measure(json);
      case "profile" -> profile(json);
      case "and" -> Logic.and(conditions(json));
      case "or" -> Logic.or(conditions(json));
      case "not" -> Logic.not(argument(BooleanExpression.class, json));
      case "is_true" -> Logic.isTrue(argument(BooleanExpression.class, json));
      case "is_false" -> Logic.isFalse(argument(BooleanExpression.class, json));
      case "is_null" -> Logic.isNull(argument(Expression.class, json));
      case "eq", "ne", "lt", "le", "gt", "ge" -> comparison(Comparison.valueOf(op.toUpperCase(Locale.ROOT)), json);
      case "add", "sub", "mul", "div", "mod", "neg", "abs", "ceil", "floor", "to_double" -> arithmetic(op, json);
      case "greatest" -> Choice.extreme(parts(json), 1);
      case "least" -> Choice.extreme(parts(json), -1);
      case "coalesce" -> Choice.coalesce(parts(json));
      case "case" -> byCondition(json);
      case "lower", "upper", "length", "left", "right", "like" -> text(op, json);
      case "in" -> in(json);
      case "in_list" ->
        Membership.texts(argument(TextExpression.class, json), lists.getOrDefault(Json.text(json, "list"), Set.of()));
      case "in_profile" -> inProfile(json);
      default -> throw new UnknownInstructionException("there is no operation `" + op + "`");
    };
  }

  private static Expression field(JsonNode json) {
    Field field = Json.field(json, "name");
    Json.requireType(json, ValueType.of(field));
    return switch (field.kind()) {
      case TEXT -> (TextExpression) at -> at.row.isNull(field) ? null : at.row.text(field);
      case INTEGER ->
        (IntegerExpression) at -> {
          at.none = at.row.isNull(field);
          return at.none ? 0 : at.row.integer(field);
        };
      case DOUBLE ->
        (DoubleExpression) at -> {
          at.none = at.row.isNull(field);
          return at.none ? 0 : at.row.number(field);
        };
    };
  }

  private Expression measure(JsonNode json) {
    int index = Json.whole(json, "index");
    if (index >= measures.size()) {
      throw new UnknownInstructionException("the rule has " + measures.size() + " measures, none at " + index);
    }
    Measure measure = measures.get(index);
    Json.requireType(json, measure.type());
    int slot = measure.slot();
    return switch (measure.type()) {
      case INTEGER ->
        (IntegerExpression) at -> {
          at.none = at.measures.isNull(slot);
          return at.none ? 0 : at.measures.integer(slot);
        };
      case DOUBLE ->
        (DoubleExpression) at -> {
          at.none = at.measures.isNull(slot);
          return at.none ? 0 : at.measures.number(slot);
        };
      default -> (TextExpression) at -> at.measures.text(slot);
    };
  }

  private Expression profile(JsonNode json) {
    ProfileField field = profileField(json);
    Json.requireType(json, field.type());
    return switch (field.type()) {
      case INTEGER ->
        (IntegerExpression) at -> {
          at.none = at.profile.isNull(field);
          return at.none ? 0 : at.profile.integer(field);
        };
      case DOUBLE ->
        (DoubleExpression) at -> {
          at.none = at.profile.isNull(field);
          return at.none ? 0 : at.profile.number(field);
        };
      default -> new ListExpression(field);
    };
  }

  private Expression comparison(Comparison comparison, JsonNode json) {
    Parts parts = parts(json, 2);
    return switch (parts.type()) {
      case INTEGER -> comparison.integers(parts.integers()[0], parts.integers()[1]);
      case DOUBLE -> comparison.doubles(parts.doubles()[0], parts.doubles()[1]);
      case TEXT -> comparison.texts(parts.texts()[0], parts.texts()[1]);
      default -> comparison.booleans(parts.booleans()[0], parts.booleans()[1]);
    };
  }

  private Expression arithmetic(String op, JsonNode json) {
    if (op.equals("to_double")) {
      return Arithmetic.toDouble(argument(IntegerExpression.class, json));
    }
    boolean single = op.equals("neg") || op.equals("abs") || op.equals("ceil") || op.equals("floor");
    Parts parts = parts(json, single ? 1 : 2);
    if (parts.type() == ValueType.INTEGER) {
      return ofIntegers(op, parts.integers(), json);
    }
    if (parts.type() == ValueType.DOUBLE) {
      return ofDoubles(op, parts.doubles(), json);
    }
    throw Json.wrong(json, "numbers", parts.type());
  }

  private static Expression ofIntegers(String op, IntegerExpression[] parts, JsonNode json) {
    return switch (op) {
      case "add" -> Arithmetic.integers(parts[0], parts[1], (left, right) -> left + right);
      case "sub" -> Arithmetic.integers(parts[0], parts[1], (left, right) -> left - right);
      case "mul" -> Arithmetic.integers(parts[0], parts[1], (left, right) -> left * right);
      case "mod" -> Arithmetic.remainder(parts[0], parts[1]);
      case "neg" -> Arithmetic.integer(parts[0], value -> - value);
      case "abs" -> Arithmetic.integer(parts[0], Math::abs);
      default -> throw Json.wrong(json, "double", ValueType.INTEGER);
    };
  }

  private static Expression ofDoubles(String op, DoubleExpression[] parts, JsonNode json) {
    return switch (op) {
      case "add" -> Arithmetic.doubles(parts[0], parts[1], Double::sum);
      case "sub" -> Arithmetic.doubles(parts[0], parts[1], (left, right) -> left - right);
      case "mul" -> Arithmetic.doubles(parts[0], parts[1], (left, right) -> left * right);
      case "div" -> Arithmetic.divide(parts[0], parts[1]);
      case "neg" -> Arithmetic.number(parts[0], value -> - value);
      case "abs" -> Arithmetic.number(parts[0], Math::abs);
      case "ceil" -> Arithmetic.number(parts[0], Math::ceil);
      case "floor" -> Arithmetic.number(parts[0], Math::floor);
      default -> throw Json.wrong(json, "integer", ValueType.DOUBLE);
    };
  }

  private Expression byCondition(JsonNode json) {
    List<BooleanExpression> conditions = new ArrayList<>();
    for (JsonNode condition : Json.array(json, "when")) {
      conditions.add(condition(condition));
    }
    return Choice.byCondition(conditions.toArray(BooleanExpression[] ::new), parts(json, conditions.size() + 1));
  }

  private Expression text(String op, JsonNode json) {
    TextExpression part = argument(TextExpression.class, json);
    return switch (op) {
      case "lower" -> Texts.map(part, LetterCase::lower);
      case "upper" -> Texts.map(part, LetterCase::upper);
      case "length" -> Texts.length(part);
      case "like" -> Texts.like(part, Json.text(json, "pattern"));
      default -> {
        long length = Json.whole64(json, "length");
        yield op.equals("left") ? Texts.map(part, text -> Texts.left(text, length))
                                : Texts.map(part, text -> Texts.right(text, length));
      }
    };
  }

  private Expression in(JsonNode json) {
    Parts parts = parts(json, 1);
    JsonNode values = Json.array(json, "values");
    return switch (parts.type()) {
      case INTEGER -> Membership.integers(parts.integers()[0], Literals.integers(values));
      case DOUBLE -> Membership.doubles(parts.doubles()[0], Literals.doubles(values));
      case TEXT -> Membership.texts(parts.texts()[0], Literals.texts(values));
      default -> Membership.booleans(parts.booleans()[0], Literals.booleans(values));
    };
  }

  private Expression inProfile(JsonNode json) {
    ProfileField list = profileField(json);
    return switch (list.type()) {
      case TEXTS -> Membership.profileTexts(argument(TextExpression.class, json), list);
      case INTEGERS -> Membership.profileIntegers(argument(IntegerExpression.class, json), list);
      default -> throw new UnknownInstructionException("`profile." + list.avroName() + "` is no list");
    };
  }

  private ProfileField profileField(JsonNode json) {
    if (!profiles) {
      throw new UnknownInstructionException("`where` cannot use a profile");
    }
    return ProfileField.of(Json.text(json, "name"));
  }

  private <T extends Expression> T argument(Class<T> wanted, JsonNode json) {
    JsonNode part = Json.parts(json, 1).get(0);
    return Json.as(wanted, parse(part), part);
  }

  private BooleanExpression[] conditions(JsonNode json) {
    List<BooleanExpression> conditions = new ArrayList<>();
    for (JsonNode part : Json.parts(json, -1)) {
      conditions.add(condition(part));
    }
    return conditions.toArray(BooleanExpression[] ::new);
  }

  private Parts parts(JsonNode json) {
    return parts(json, -1);
  }

  /** The arguments, all of the type that the instruction states, which is not a list. */
  private Parts parts(JsonNode json, int number) {
    ValueType type = ValueType.ofWord(Json.text(json, "of"));
    List<Expression> parts = new ArrayList<>();
    for (JsonNode part : Json.parts(json, number)) {
      Expression parsed = parse(part);
      if (parsed.type() != type || parsed instanceof ListExpression) {
        throw Json.wrong(part, type.word(), parsed.type());
      }
      parts.add(parsed);
    }
    return new Parts(type, parts);
  }
}
