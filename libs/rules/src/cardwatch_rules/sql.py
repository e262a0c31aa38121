"""SQL conditions as trees: parsed, restricted to what a rule may say, typed.

The grammar is a library's (sqlglot); what a rule may use of it, and what that means, is ours: docs/rules.md. Whatever
is not listed here is refused, so that no expression costs more than a few passes over its columns.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import sqlglot
from cardwatch_contracts.errors import ConfigurationError
from sqlglot import exp
from sqlglot.errors import SqlglotError

MOST_CHARACTERS: Final = 2_000
MOST_TERMS: Final = 200
_MOST_NODES: Final = 2_000
_INT64: Final = 2**63


class Kind(StrEnum):
    """What a part of an expression is."""

    INTEGER = "integer"
    DOUBLE = "double"
    TEXT = "text"
    BOOLEAN = "condition"
    NULL = "null"
    TEXTS = "list of texts"
    INTEGERS = "list of integers"


NUMBERS: Final = frozenset({Kind.INTEGER, Kind.DOUBLE, Kind.NULL})
TEXT: Final = frozenset({Kind.TEXT, Kind.NULL})
BOOLEANS: Final = frozenset({Kind.BOOLEAN, Kind.NULL})

COMPARISONS: Final = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
ARITHMETIC: Final = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
_HELD: Final = {Kind.TEXTS: TEXT, Kind.INTEGERS: frozenset({Kind.INTEGER, Kind.NULL})}
_FUNCTIONS: Final = "abs, ceil, floor, greatest, least, coalesce, lower, upper, length, left, right"


@lru_cache(maxsize=16_384)
def parse_sql(text: str) -> exp.Expression:
    """The tree of an SQL expression.

    Raises:
        ConfigurationError: it is no SQL expression, or too long.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigurationError(f"an expression has {len(text)} characters; at most {MOST_CHARACTERS} are allowed")
    try:
        tree: Any = sqlglot.parse_one(text, dialect="duckdb")
        nodes = sum(1 for _ in tree.walk())
    except SqlglotError as error:
        raise ConfigurationError(f"`{text}` is no SQL expression: {_why(error)}") from error
    except RecursionError as error:
        raise ConfigurationError("an expression is nested too deeply; write it flatter") from error
    terms = sum(1 for _ in tree.find_all(exp.Column, exp.Literal))
    if terms > MOST_TERMS or nodes > _MOST_NODES:
        raise ConfigurationError(f"an expression has {terms} terms; at most {MOST_TERMS} are allowed")
    return tree  # type: ignore[no-any-return]


def names_in(text: str) -> frozenset[str]:
    """The fields and measures that an SQL expression names."""
    return frozenset(name_of(column) for column in parse_sql(text).find_all(exp.Column))


def lists_in(text: str) -> frozenset[str]:
    """The lists that an SQL expression looks into: ``in list('name')``."""
    found = (list_of(node) for node in parse_sql(text).find_all(exp.In))
    return frozenset(name for name in found if name is not None)


def is_name(word: str) -> bool:
    """Whether an expression can call something by this word: words of SQL itself mean something else."""
    try:
        tree: Any = sqlglot.parse_one(f"{word} > {word} + 1", dialect="duckdb")
    except SqlglotError:
        return False
    return (
        isinstance(tree, exp.GT) and isinstance(tree.this, exp.Column) and isinstance(tree.expression.this, exp.Column)
    )


def name_of(column: exp.Column) -> str:
    """The name of a field or measure, as it is known: SQL's names have no case."""
    return ".".join(part.name.lower() for part in column.parts)


def list_of(node: exp.In) -> str | None:
    """The list's name in ``x in list('name')``, None for any other ``in``."""
    field = node.args.get("field")
    if isinstance(field, exp.ArrayAgg | exp.List | exp.Anonymous):
        inside = field.this if isinstance(field, exp.ArrayAgg) else (field.expressions or [None])[0]
        if isinstance(inside, exp.Literal) and inside.is_string:
            return str(inside.this)
    return None


def literal(node: exp.Expression) -> int | float | str | bool | None:
    """The value of a literal, with its sign; None for what is no literal (or null)."""
    if isinstance(node, exp.Paren):
        return literal(node.this)
    if isinstance(node, exp.Neg):
        value = literal(node.this)
        return -value if isinstance(value, int | float) else None
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        text = str(node.this)
        if node.is_string:
            return text
        return int(text) if text.isdecimal() else float(text)
    return None


def kind_of(node: exp.Expression, kinds: Mapping[str, Kind]) -> Kind:
    """The kind of an expression over names of the given kinds.

    Raises:
        ConfigurationError: it uses what a rule may not use, an unknown name, or kinds that do not go together.
    """
    return _Typing(kinds).kind(node)


def require_condition(text: str, kinds: Mapping[str, Kind]) -> None:
    """Check that an SQL expression is a condition over names of the given kinds.

    Raises:
        ConfigurationError: it is not.
    """
    tree = parse_sql(text)
    try:
        kind = kind_of(tree, kinds)
    except ConfigurationError as error:
        raise ConfigurationError(f"`{text}`: {error}") from error
    except RecursionError as error:
        raise ConfigurationError(f"`{text}` is nested too deeply; write it flatter") from error
    if kind not in BOOLEANS:
        raise ConfigurationError(f"`{text}` is {_a(kind)}; a condition that is true or false would be right")


class _Typing:
    """One walk over a tree."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds

    def kind(self, node: Any) -> Kind:
        match node:
            case exp.Paren():
                return self.kind(node.this)
            case exp.Column():
                return self._name(node)
            case exp.Null():
                return Kind.NULL
            case exp.Boolean():
                return Kind.BOOLEAN
            case exp.Literal():
                return self._literal(node)
            case exp.And() | exp.Or():
                self._all(node, (node.this, node.expression), BOOLEANS, "conditions")
                return Kind.BOOLEAN
            case exp.Not():
                self._all(node, (node.this,), BOOLEANS, "a condition")
                return Kind.BOOLEAN
            case exp.Is():
                self.kind(node.this)
                if not isinstance(node.expression, exp.Null | exp.Boolean):
                    raise _wrong(node, "`is null`, `is not null`, `is true` or `is false` would be right")
                return Kind.BOOLEAN
            case exp.Neg():
                return self._numbers(node, (node.this,))
            case exp.In():
                return self._in(node)
            case exp.Between():
                return self._comparable(node, (node.this, node.args["low"], node.args["high"]))
            case exp.Like():
                self._all(node, (node.this, node.expression), TEXT, "texts")
                if not isinstance(node.expression, exp.Literal):
                    raise _wrong(node, "`like` takes a pattern in quotes")
                return Kind.BOOLEAN
            case exp.Case():
                return self._case(node)
        if isinstance(node, COMPARISONS):
            return self._comparable(node, (node.this, node.expression))
        if isinstance(node, ARITHMETIC):
            return self._arithmetic(node)
        return self._function(node)

    def _name(self, node: exp.Column) -> Kind:
        name = name_of(node)
        if name not in self._kinds and name.startswith("profile."):
            known = sorted(one for one in self._kinds if one.startswith("profile."))
            raise ConfigurationError(
                f"there is no `{name}`; known are {', '.join(known)}"
                if known
                else f"`{name}` cannot be used here: profiles are for `when` in rules of the scope card"
            )
        if name not in self._kinds:
            close = get_close_matches(name, self._kinds, 1)
            hint = f"did you mean `{close[0]}`?" if close else f"known here are {', '.join(sorted(self._kinds))}"
            quotes = f" (a text stands in single quotes: '{node.this.name}')" if node.this.quoted else ""
            raise ConfigurationError(f"there is no field or measure `{name}`{quotes}; {hint}")
        return self._kinds[name]

    def _literal(self, node: exp.Literal) -> Kind:
        if node.is_string:
            return Kind.TEXT
        value = literal(node)
        if isinstance(value, int) and value >= _INT64:
            raise ConfigurationError(f"{value} is too large for an integer; {float(value):e} would be right")
        return Kind.INTEGER if isinstance(value, int) else Kind.DOUBLE

    def _all(self, node: Any, parts: Any, allowed: frozenset[Kind], what: str) -> list[Kind]:
        kinds = [self.kind(part) for part in parts]
        for part, kind in zip(parts, kinds, strict=True):
            if kind not in allowed:
                raise _wrong(node, f"`{_sql(part)}` is {_a(kind)}, {what} would be right")
        return kinds

    def _numbers(self, node: Any, parts: Any) -> Kind:
        kinds = self._all(node, parts, NUMBERS, "numbers")
        return Kind.DOUBLE if Kind.DOUBLE in kinds else Kind.INTEGER if Kind.INTEGER in kinds else Kind.NULL

    def _comparable(self, node: Any, parts: Any) -> Kind:
        self._same(node, parts)
        return Kind.BOOLEAN

    def _same(self, node: Any, parts: Any) -> Kind:
        kinds = [self.kind(part) for part in parts]
        for allowed in (NUMBERS, TEXT, BOOLEANS):
            if all(kind in allowed for kind in kinds):
                return max(kinds, key=lambda kind: (kind is not Kind.NULL, kind is Kind.DOUBLE))
        said = " and ".join(f"`{_sql(part)}` is {_a(kind)}" for part, kind in zip(parts, kinds, strict=True))
        raise _wrong(node, f"{said}; both numbers or both texts would be right")

    def _in(self, node: exp.In) -> Kind:
        if list_of(node) is not None:
            self._all(node, (node.this,), TEXT, "a text")
            return Kind.BOOLEAN
        inside = node.args.get("field")
        if isinstance(inside, exp.Column):
            held = self.kind(inside)
            if held not in _HELD:
                raise _wrong(node, f"`{_sql(inside)}` is {_a(held)}; a list would be right")
            self._all(node, (node.this,), _HELD[held], "what the list holds")
            return Kind.BOOLEAN
        values = node.expressions
        if not values or any(literal(value) is None for value in values):
            raise _wrong(node, "`in ('a', 'b')`, `in list('name')` or `in profile.…` would be right")
        return self._comparable(node, (node.this, *values))

    def _case(self, node: exp.Case) -> Kind:
        if node.this is not None:
            raise _wrong(node, "`case when CONDITION then …` would be right")
        branches = node.args["ifs"]
        self._all(node, [branch.this for branch in branches], BOOLEANS, "a condition")
        default = node.args.get("default")
        return self._same(node, [branch.args["true"] for branch in branches] + ([default] if default else []))

    def _arithmetic(self, node: Any) -> Kind:
        kind = self._numbers(node, (node.this, node.expression))
        if isinstance(node, exp.Mod) and kind is Kind.DOUBLE:
            raise _wrong(node, "`%` is of integers")
        return Kind.DOUBLE if isinstance(node, exp.Div) else kind

    def _function(self, node: Any) -> Kind:
        match node:
            case exp.Abs():
                return self._numbers(node, (node.this,))
            case exp.Ceil() | exp.Floor() if not node.args.get("decimals"):
                return self._numbers(node, (node.this,))
            case exp.Greatest() | exp.Least() | exp.Coalesce():
                return self._same(node, [node.this, *node.expressions])
            case exp.Lower() | exp.Upper():
                self._all(node, (node.this,), TEXT, "a text")
                return Kind.TEXT
            case exp.Length():
                self._all(node, (node.this,), TEXT, "a text")
                return Kind.INTEGER
            case exp.Left() | exp.Right():
                self._all(node, (node.this,), TEXT, "a text")
                number = literal(node.expression)
                if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                    raise _wrong(node, "the number of characters is a whole number")
                return Kind.TEXT
        raise _wrong(node, f"that cannot be used in a rule; functions are {_FUNCTIONS}")


def conjuncts(node: exp.Expression) -> Iterator[exp.Expression]:
    """The parts of ``a and b and c``."""
    if isinstance(node, exp.Paren):
        yield from conjuncts(node.this)
    elif isinstance(node, exp.And):
        yield from conjuncts(node.this)
        yield from conjuncts(node.expression)
    else:
        yield node


def _a(kind: Kind) -> str:
    return {"integer": "an integer", "null": "null"}.get(kind.value, f"a {kind.value}")


def _sql(node: Any) -> str:
    return str(node.sql(dialect="duckdb"))


def _wrong(node: Any, why: str) -> ConfigurationError:
    return ConfigurationError(f"in `{_sql(node)}`: {why}")


def _why(error: SqlglotError) -> str:
    details = getattr(error, "errors", None)
    if details and details[0].get("highlight"):
        found = details[0]
        return f"something is wrong at `{found['highlight']}` (character {found['col']})"
    return str(error).strip().split("\n", 1)[0]
