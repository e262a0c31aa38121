"""Conditions that can never be true: ``payments >= 5 and payments < 3``, ``channel = 'POS'``.

The search is sound but not complete: a reported condition can never be true, but many others are not found. A condition
is expanded
into the alternatives of its ``or``; within each, what the comparisons with literals demand of a name is intersected.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from sqlglot import exp

from cardwatch_rules.sql import literal, name_of, parse_sql
from cardwatch_rules.type_check import Kind

_MAX_ALTERNATIVES: Final = 64
_FLIPPED: Final = {exp.LT: exp.GT, exp.GT: exp.LT, exp.LTE: exp.GTE, exp.GTE: exp.LTE, exp.EQ: exp.EQ, exp.NEQ: exp.NEQ}
_NEGATED: Final = {exp.LT: exp.GTE, exp.GT: exp.LTE, exp.LTE: exp.GT, exp.GTE: exp.LT, exp.EQ: exp.NEQ, exp.NEQ: exp.EQ}


@dataclass(frozen=True, slots=True)
class Domain:
    """The values that a name can have: numbers from ``low`` to ``high``, or one of ``values``."""

    kind: Kind
    low: float = -inf
    high: float = inf
    values: frozenset[str] | None = None


def find_contradiction(text: str, domains: Mapping[str, Domain]) -> str | None:
    """The reason why a condition can never be true, as a sentence; None if none is found."""
    reasons = []
    for number, alternative in enumerate(_alternatives(parse_sql(text), positive=True)):
        if number >= _MAX_ALTERNATIVES:
            return None
        reason = _contradiction(alternative, domains)
        if reason is None:
            return None
        reasons.append(reason)
    return "; ".join(dict.fromkeys(reasons)) or None


_Atom = tuple[Any, bool]  # a part of the condition, and whether it must be true or false


def _alternatives(node: Any, *, positive: bool) -> Iterator[list[_Atom]]:
    if isinstance(node, exp.Paren):
        yield from _alternatives(node.this, positive=positive)
    elif isinstance(node, exp.Not):
        yield from _alternatives(node.this, positive=not positive)
    elif isinstance(node, exp.Or if positive else exp.And):
        yield from _alternatives(node.this, positive=positive)
        yield from _alternatives(node.expression, positive=positive)
    elif isinstance(node, exp.And if positive else exp.Or):
        for left in _alternatives(node.this, positive=positive):
            for right in _alternatives(node.expression, positive=positive):
                yield left + right
    else:
        yield [(node, positive)]


def _contradiction(atoms: list[_Atom], domains: Mapping[str, Domain]) -> str | None:
    demands: dict[str, _Demand] = {}
    for node, positive in atoms:
        if isinstance(node, exp.Boolean | exp.Null):
            if isinstance(node, exp.Null) or bool(node.this) is not positive:
                return f"it demands that `{node.sql(dialect='duckdb')}` is {'true' if positive else 'false'}"
            continue
        for name, operator, value in _comparisons(node, positive):
            domain = domains.get(name)
            if domain is None:
                continue
            demand = demands.setdefault(name, _Demand(name, domain))
            demand.add(operator, value, node.sql(dialect="duckdb") if positive else f"NOT {node.sql(dialect='duckdb')}")
            if demand.impossible:
                return demand.sentence
    return None


def _comparisons(node: Any, positive: bool) -> Iterator[tuple[str, type, Any]]:
    """(name, operator, value or set of values) that a part demands; nothing for a part of another form."""
    if isinstance(node, exp.Between) and positive and isinstance(node.this, exp.Column):
        for border, bound in ((exp.GTE, node.args["low"]), (exp.LTE, node.args["high"])):
            if (value := literal(bound)) is not None:
                yield name_of(node.this), border, value
    elif isinstance(node, exp.In) and positive and isinstance(node.this, exp.Column) and node.expressions:
        yield name_of(node.this), exp.In, frozenset(literal(value) for value in node.expressions)
    elif type(node) in _FLIPPED:
        left, right, operator = node.this, node.expression, type(node)
        if not isinstance(left, exp.Column):
            left, right, operator = right, left, _FLIPPED[operator]
        value = literal(right)
        if isinstance(left, exp.Column) and value is not None:
            yield name_of(left), operator if positive else _NEGATED[operator], value


class _Demand:
    """What the parts of an alternative demand of one name, intersected."""

    def __init__(self, name: str, domain: Domain) -> None:
        self._name = name
        self._domain = domain
        self._parts: list[str] = []
        self._low, self._high, self._values = domain.low, domain.high, domain.values
        self._low_open = self._high_open = False

    def add(self, operator: type, value: Any, text: str) -> None:
        self._parts.append(text)
        if operator is exp.In or operator is exp.EQ:
            allowed = value if operator is exp.In else frozenset({value})
            self._values = allowed if self._values is None else self._values & allowed
        elif operator is exp.NEQ:
            if self._values is not None:
                self._values -= {value}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._bound(operator, value)

    def _bound(self, operator: type, value: float) -> None:
        strict = operator in (exp.GT, exp.LT)
        if operator in (exp.GT, exp.GTE):
            if self._domain.kind is Kind.INTEGER and strict and float(value).is_integer():
                value, strict = value + 1, False
            if (value, strict) > (self._low, self._low_open):
                self._low, self._low_open = value, strict
        else:
            if self._domain.kind is Kind.INTEGER and strict and float(value).is_integer():
                value, strict = value - 1, False
            if (-value, strict) > (-self._high, self._high_open):
                self._high, self._high_open = value, strict

    @property
    def impossible(self) -> bool:
        if self._low > self._high or (self._low == self._high and (self._low_open or self._high_open)):
            return True
        return self._values is not None and not any(self._inside(value) for value in self._values)

    def _inside(self, value: Any) -> bool:
        if isinstance(value, (str, bool)) or value is None:
            return True
        above = value > self._low or (value == self._low and not self._low_open)
        below = value < self._high or (value == self._high and not self._high_open)
        return bool(above and below)

    @property
    def sentence(self) -> str:
        demanded = " and ".join(f"`{text}`" for text in dict.fromkeys(self._parts))
        if self._domain.values is not None:
            return f"{demanded} is impossible, `{self._name}` is one of {', '.join(sorted(self._domain.values))}"
        if (self._domain.low, self._domain.high) != (-inf, inf):
            return f"{demanded} is impossible, `{self._name}` is {_range(self._domain)}"
        return f"{demanded} is impossible"


def _range(domain: Domain) -> str:
    if domain.high == inf:
        return f"{domain.low:g} or more"
    return f"from {domain.low:g} to {domain.high:g}"
