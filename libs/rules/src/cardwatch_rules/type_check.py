"""Checks conditions: only functions that a rule may use, known names, and kinds that go together.

Everything that is not listed here is rejected, so that no condition costs more than a few passes over its columns.
"""

from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

from cardwatch_contracts.errors import ConfigurationError
from sqlglot import exp

from cardwatch_rules.sql import list_of, literal, name_of, parse_sql

_INT64: Final = 2**63


class Kind(StrEnum):
    """The kind of value that an expression, or a part of one, has."""

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
# Kind of a list → kinds that a value looked up in it may have.
_LIST_VALUES: Final = {Kind.TEXTS: TEXT, Kind.INTEGERS: frozenset({Kind.INTEGER, Kind.NULL})}
# Of 64 bits, as all whole numbers of a rule: that much the oracle, the backtest and the rule engine can hold.
_MAX_CHARACTERS: Final = 2**63 - 1
_FUNCTIONS: Final = "abs, ceil, floor, greatest, least, coalesce, lower, upper, length, left, right"


def kind_of(node: exp.Expression, kinds: Mapping[str, Kind]) -> Kind:
    """The kind of an expression over names of the given kinds.

    Raises:
        ConfigurationError: it uses something that rules may not use, an unknown name, or kinds that do not go together.
    """
    return _TypeChecker(kinds).kind(node)


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
        raise ConfigurationError(f"`{text}` is nested too deeply; write it with fewer parentheses") from error
    if kind not in BOOLEANS:
        raise ConfigurationError(f"`{text}`: expected a condition that is true or false, got {_with_article(kind)}")


class _TypeChecker:
    """Finds the kind of a syntax tree from those of its names, in one walk."""

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
                if isinstance(node.expression, exp.Boolean):
                    self._all(node, (node.this,), BOOLEANS, "a condition")
                elif isinstance(node.expression, exp.Null):
                    self.kind(node.this)
                else:
                    raise _error(node, "expected `is null`, `is not null`, `is true` or `is false`")
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
                    raise _error(node, "expected a pattern in quotes after `like`")
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
                f"there is no `{name}`; expected one of {', '.join(known)}"
                if known
                else f"`{name}` cannot be used here: profiles are available in `when` of rules with the scope card"
            )
        if name not in self._kinds:
            close = get_close_matches(name, self._kinds, 1)
            hint = f"did you mean `{close[0]}`?" if close else f"expected one of {', '.join(sorted(self._kinds))}"
            quotes = f" (a text needs single quotes: '{node.this.name}')" if node.this.quoted else ""
            raise ConfigurationError(f"there is no field or measure `{name}`{quotes}; {hint}")
        return self._kinds[name]

    def _literal(self, node: exp.Literal) -> Kind:
        if node.is_string:
            return Kind.TEXT
        value = literal(node)
        if isinstance(value, int) and value >= _INT64:
            # Not as a float: that may be too large for one as well.
            raise ConfigurationError(f"{Decimal(value):.6e} is too large for a 64-bit integer; write it in this form")
        return Kind.INTEGER if isinstance(value, int) else Kind.DOUBLE

    def _all(self, node: Any, parts: Any, allowed: frozenset[Kind], what: str) -> list[Kind]:
        kinds = [self.kind(part) for part in parts]
        for part, kind in zip(parts, kinds, strict=True):
            if kind not in allowed:
                raise _error(node, f"expected {what}, got `{_sql(part)}`, which is {_with_article(kind)}")
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
        found = " and ".join(f"`{_sql(part)}` ({_with_article(kind)})" for part, kind in zip(parts, kinds, strict=True))
        raise _error(node, f"expected both numbers or both texts, got {found}")

    def _in(self, node: exp.In) -> Kind:
        if list_of(node) is not None:
            self._all(node, (node.this,), TEXT, "a text")
            return Kind.BOOLEAN
        inside = node.args.get("field")
        if isinstance(inside, exp.Column):
            kind = self.kind(inside)
            if kind not in _LIST_VALUES:
                raise _error(node, f"expected a list, got `{_sql(inside)}`, which is {_with_article(kind)}")
            self._all(node, (node.this,), _LIST_VALUES[kind], "a value of the list's kind")
            return Kind.BOOLEAN
        values = node.expressions
        if not values or any(literal(value) is None for value in values):
            raise _error(node, "expected `in ('a', 'b')`, `in list('name')` or `in profile.…`")
        return self._comparable(node, (node.this, *values))

    def _case(self, node: exp.Case) -> Kind:
        if node.this is not None:
            raise _error(node, "expected `case when CONDITION then …`")
        branches = node.args["ifs"]
        self._all(node, [branch.this for branch in branches], BOOLEANS, "a condition")
        default = node.args.get("default")
        return self._same(node, [branch.args["true"] for branch in branches] + ([default] if default else []))

    def _arithmetic(self, node: Any) -> Kind:
        kind = self._numbers(node, (node.this, node.expression))
        if isinstance(node, exp.Mod) and kind is Kind.DOUBLE:
            raise _error(node, "expected integers on both sides of `%`")
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
                if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _MAX_CHARACTERS:
                    raise _error(node, f"expected a whole number of characters from 0 to {_MAX_CHARACTERS:,}")
                return Kind.TEXT
        raise _error(node, f"this cannot be used in a rule; the functions are {_FUNCTIONS}")


def _with_article(kind: Kind) -> str:
    return {"integer": "an integer", "null": "null"}.get(kind.value, f"a {kind.value}")


def _sql(node: Any) -> str:
    return str(node.sql(dialect="duckdb"))


def _error(node: Any, why: str) -> ConfigurationError:
    return ConfigurationError(f"in `{_sql(node)}`: {why}")
