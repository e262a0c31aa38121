"""Compiles checked SQL conditions to instructions.

What SQL leaves to the reader is written out: conversions of integers to doubles, the type of ``null``; and what SQL has
several words for is one instruction: ``between`` is two comparisons, ``not in`` the negation of ``in``.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from cardwatch_contracts.errors import ConfigurationError
from sqlglot import exp

from cardwatch_rules.fields import FIELD_KINDS
from cardwatch_rules.program.instructions import Expression, Op, Scalar, literal_of
from cardwatch_rules.sql import list_of, literal, name_of, parse_sql
from cardwatch_rules.type_check import Kind

FIELDS: Final[dict[str, Expression]] = {
    name: Expression(Op.FIELD, kind, value=name) for name, kind in FIELD_KINDS.items()
}

_CONNECTIVES: Final = {exp.And: Op.AND, exp.Or: Op.OR}
_COMPARISONS: Final = {
    exp.EQ: Op.EQ, exp.NEQ: Op.NE, exp.LT: Op.LT, exp.LTE: Op.LE, exp.GT: Op.GT, exp.GTE: Op.GE,
}  # fmt: skip
_ARITHMETIC: Final = {exp.Add: Op.ADD, exp.Sub: Op.SUB, exp.Mul: Op.MUL, exp.Div: Op.DIV, exp.Mod: Op.MOD}
_OF_ONE_NUMBER: Final = {exp.Neg: Op.NEG, exp.Abs: Op.ABS, exp.Ceil: Op.CEIL, exp.Floor: Op.FLOOR}
_OF_SEVERAL: Final = {exp.Greatest: Op.GREATEST, exp.Least: Op.LEAST, exp.Coalesce: Op.COALESCE}
_OF_ONE_TEXT: Final = {exp.Lower: Op.LOWER, exp.Upper: Op.UPPER, exp.Length: Op.LENGTH, exp.Left: Op.LEFT, exp.Right: Op.RIGHT}  # fmt: skip  # noqa: E501


def compile_condition(text: str, names: Mapping[str, Expression]) -> Expression:
    """Compile a checked SQL condition.

    Args:
        text: the condition.
        names: what the names in it stand for.

    Raises:
        ConfigurationError: it is not an SQL expression, or uses something that rules may not use.
    """
    try:
        return _converted(_Compiler(names).expression(parse_sql(text)), Kind.BOOLEAN)
    except RecursionError as error:
        raise ConfigurationError(f"`{text}` is nested too deeply; write it with fewer parentheses") from error


@lru_cache(maxsize=16_384)
def compile_where(text: str) -> Expression:
    """Compile a checked SQL condition over the fields of a transaction: a measure's ``where``.

    Raises:
        ConfigurationError: it is not an SQL expression, or uses something that it may not use.
    """
    return compile_condition(text, FIELDS)


class _Compiler:
    """Compiles syntax trees; the type of a result is NULL where it is always null, and nothing says of what type."""

    def __init__(self, names: Mapping[str, Expression]) -> None:
        self._names = names

    def expression(self, node: Any) -> Expression:
        if type(node) in _CONNECTIVES:
            return self._connective(node)
        if type(node) in _COMPARISONS:
            return _comparison(_COMPARISONS[type(node)], self.expression(node.this), self.expression(node.expression))
        if type(node) in _ARITHMETIC:
            return self._arithmetic(node)
        if type(node) in _OF_ONE_NUMBER:
            return self._of_one_number(node)
        if type(node) in _OF_SEVERAL:
            parts = [self.expression(part) for part in (node.this, *node.expressions)]
            return _of_one_type(_OF_SEVERAL[type(node)], parts)
        if type(node) in _OF_ONE_TEXT:
            return self._of_one_text(node)
        return self._other(node)

    def _other(self, node: Any) -> Expression:
        match node:
            case exp.Paren():
                return self.expression(node.this)
            case exp.Column():
                return self._name(node)
            case exp.Null():
                return literal_of(Kind.NULL, None)
            case exp.Boolean() | exp.Literal():
                return _literal(literal(node))
            case exp.Not():
                return _not(self.expression(node.this))
            case exp.Is():
                return self._is(node)
            case exp.In():
                return self._in(node)
            case exp.Between():
                return self._between(node)
            case exp.Like():
                found = self._condition(Op.LIKE, node.this, Kind.TEXT, value=str(node.expression.this))
                return _not(found) if node.args.get("negate") else found
            case exp.Case():
                return self._case(node)
        raise ConfigurationError(f"`{node.sql(dialect='duckdb')}` cannot be used in a rule")

    def _condition(self, op: Op, node: Any, kind: Kind, value: Scalar | None = None) -> Expression:
        return Expression(op, Kind.BOOLEAN, (_converted(self.expression(node), kind),), value=value)

    def _name(self, node: exp.Column) -> Expression:
        name = name_of(node)
        if name not in self._names:
            raise ConfigurationError(f"there is no field or measure `{name}`")
        return self._names[name]

    def _connective(self, node: Any) -> Expression:
        op = _CONNECTIVES[type(node)]
        parts: list[Expression] = []
        for side in (node.this, node.expression):
            part = _converted(self.expression(side), Kind.BOOLEAN)
            parts.extend(part.args if part.op is op else (part,))
        return Expression(op, Kind.BOOLEAN, tuple(parts))

    def _is(self, node: Any) -> Expression:
        if not isinstance(node.expression, exp.Null):
            return self._condition(Op.IS_TRUE if node.expression.this else Op.IS_FALSE, node.this, Kind.BOOLEAN)
        part = self.expression(node.this)
        return Expression(Op.IS_NULL, Kind.BOOLEAN, (_converted(part, _known(part.type)),))

    def _in(self, node: Any) -> Expression:
        name = list_of(node)
        if name is not None:
            return self._condition(Op.IN_LIST, node.this, Kind.TEXT, value=name)
        inside = node.args.get("field")
        if isinstance(inside, exp.Column):
            values = self._name(inside)
            wanted = Kind.TEXT if values.type is Kind.TEXTS else Kind.INTEGER
            return self._condition(Op.IN_PROFILE, node.this, wanted, value=str(values.value))
        part = self.expression(node.this)
        literals = [_literal(literal(value)) for value in node.expressions]
        kind = _common([part, *literals])
        allowed = tuple(_scalar(_converted(value, kind)) for value in literals)
        return Expression(Op.IN, Kind.BOOLEAN, (_converted(part, kind),), value=allowed)

    def _between(self, node: Any) -> Expression:
        value = self.expression(node.this)
        borders = ((Op.GE, node.args["low"]), (Op.LE, node.args["high"]))
        return Expression(
            Op.AND, Kind.BOOLEAN, tuple(_comparison(op, value, self.expression(border)) for op, border in borders)
        )

    def _case(self, node: Any) -> Expression:
        branches = node.args["ifs"]
        default = node.args.get("default")
        when = tuple(_converted(self.expression(branch.this), Kind.BOOLEAN) for branch in branches)
        values = [self.expression(branch.args["true"]) for branch in branches]
        values.append(self.expression(default) if default else literal_of(Kind.NULL, None))
        return _of_one_type(Op.CASE, values, when)

    def _arithmetic(self, node: Any) -> Expression:
        op = _ARITHMETIC[type(node)]
        parts = [self.expression(node.this), self.expression(node.expression)]
        kind = Kind.DOUBLE if op is Op.DIV else _common(parts)
        if kind is Kind.NULL:
            return literal_of(kind, None)
        return Expression(op, kind, tuple(_converted(part, kind) for part in parts))

    def _of_one_number(self, node: Any) -> Expression:
        op = _OF_ONE_NUMBER[type(node)]
        part = self.expression(node.this)
        if part.type is Kind.NULL or (part.type is Kind.INTEGER and op in {Op.CEIL, Op.FLOOR}):
            return part
        if op is Op.NEG and part.op is Op.LITERAL and isinstance(part.value, int | float):
            return literal_of(part.type, -part.value)
        return Expression(op, part.type, (part,))

    def _of_one_text(self, node: Any) -> Expression:
        op = _OF_ONE_TEXT[type(node)]
        length = int(literal(node.expression) or 0) if op in {Op.LEFT, Op.RIGHT} else None
        part = _converted(self.expression(node.this), Kind.TEXT)
        return Expression(op, Kind.INTEGER if op is Op.LENGTH else Kind.TEXT, (part,), value=length)


def _not(part: Expression) -> Expression:
    return Expression(Op.NOT, Kind.BOOLEAN, (_converted(part, Kind.BOOLEAN),))


def _literal(value: Scalar | None) -> Expression:
    match value:
        case bool():
            return literal_of(Kind.BOOLEAN, value)
        case int():
            return literal_of(Kind.INTEGER, value)
        case float():
            return literal_of(Kind.DOUBLE, value)
    return literal_of(Kind.TEXT, value)


def _scalar(expression: Expression) -> Scalar:
    if expression.value is None or isinstance(expression.value, tuple):
        raise ConfigurationError("expected values after `in`")
    return expression.value


def _comparison(op: Op, left: Expression, right: Expression) -> Expression:
    kind = _known(_common([left, right]))
    return Expression(op, Kind.BOOLEAN, (_converted(left, kind), _converted(right, kind)))


def _of_one_type(op: Op, parts: list[Expression], when: tuple[Expression, ...] = ()) -> Expression:
    kind = _common(parts)
    if kind is Kind.NULL:
        return literal_of(kind, None)
    return Expression(op, kind, tuple(_converted(part, kind) for part in parts), when)


def _common(parts: list[Expression]) -> Kind:
    """The type to which all parts are converted; NULL if all of them are always null."""
    kinds = {part.type for part in parts} - {Kind.NULL}
    if kinds == {Kind.INTEGER, Kind.DOUBLE}:
        return Kind.DOUBLE
    if len(kinds) > 1:
        raise ConfigurationError(f"expected values of one type, got {' and '.join(sorted(kinds))}")
    return kinds.pop() if kinds else Kind.NULL


def _known(kind: Kind) -> Kind:
    """Null that is compared with nothing but null may be of any type."""
    return Kind.BOOLEAN if kind is Kind.NULL else kind


def _converted(part: Expression, kind: Kind) -> Expression:
    if part.type is kind:
        return part
    if part.type is Kind.NULL:
        return literal_of(kind, None)
    if part.type is Kind.INTEGER and kind is Kind.DOUBLE:
        if part.op is Op.LITERAL and isinstance(part.value, int):
            return literal_of(kind, float(part.value))
        return Expression(Op.TO_DOUBLE, kind, (part,))
    raise ConfigurationError(f"expected a {kind.value}, got a {part.type.value}")
