"""Instructions as Polars expressions. docs/rule-program.md says what they mean."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, Final

import polars as pl

from cardwatch_rules.fields import profile_name
from cardwatch_rules.polars_types import polars_type
from cardwatch_rules.program.condition import compile_where
from cardwatch_rules.program.instructions import Expression, Op
from cardwatch_rules.type_check import Kind

Lists = Mapping[str, frozenset[str]]

NO_LISTS: Final[Lists] = {}

_OPERATORS: Final[dict[Op, Callable[[Any, Any], Any]]] = {
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
    Op.ADD: operator.add,
    Op.SUB: operator.sub,
    Op.MUL: operator.mul,
}
_OF_ONE: Final[dict[Op, Callable[[pl.Expr], pl.Expr]]] = {
    Op.NOT: lambda part: part.not_(),
    Op.IS_NULL: lambda part: part.is_null(),
    Op.IS_TRUE: lambda part: part.fill_null(value=False),
    Op.IS_FALSE: lambda part: part.not_().fill_null(value=False),
    Op.NEG: operator.neg,
    Op.ABS: lambda part: part.abs(),
    Op.CEIL: lambda part: part.ceil(),
    Op.FLOOR: lambda part: part.floor(),
    Op.TO_DOUBLE: lambda part: part.cast(pl.Float64),
    Op.LOWER: lambda part: part.str.to_lowercase(),
    Op.UPPER: lambda part: part.str.to_uppercase(),
    Op.LENGTH: lambda part: part.str.len_chars().cast(pl.Int64),
}


def polars_condition(condition: Expression, lists: Lists = NO_LISTS, measures: Sequence[str] = ()) -> pl.Expr:
    """A condition as a Polars expression over a frame whose columns are fields, profile values and measures.

    Args:
        condition: as compiled.
        lists: the lists for ``in list('name')``; an unknown list is empty.
        measures: the columns of the rule's measures, in its order.
    """
    return _Translator(lists, measures).expression(condition)


def evaluate_where(text: str, frame: pl.DataFrame) -> pl.Series:
    """Whether a checked SQL condition over fields is true, as a boolean column of the frame's length."""
    return evaluate_conditions(frame, [polars_condition(compile_where(text))])[0]


def evaluate_conditions(frame: pl.DataFrame, expressions: list[pl.Expr]) -> list[pl.Series]:
    """Whether conditions are true, as boolean columns of the frame's length; null counts as false."""
    found = frame.select(
        # A condition over constants only would have one value for all rows.
        (pl.repeat(value=True, n=pl.len()) & expression.fill_null(value=False)).alias(str(at))
        for at, expression in enumerate(expressions)
    )
    return found.get_columns()


class _Translator:
    def __init__(self, lists: Lists, measures: Sequence[str]) -> None:
        self._lists = lists
        self._measures = measures

    def expression(self, node: Expression) -> pl.Expr:
        value: Any = node.value
        match node.op:
            case Op.LITERAL:
                return pl.lit(value, dtype=polars_type(node.type))
            case Op.FIELD:
                # An integer has 64 bits, whatever the column has.
                return pl.col(value).cast(pl.Int64) if node.type is Kind.INTEGER else pl.col(value)
            case Op.MEASURE:
                return pl.col(self._measures[value])
            case Op.PROFILE:
                return pl.col(profile_name(value))
        return self._applied(node, [self.expression(part) for part in node.args])

    def _applied(self, node: Expression, parts: list[pl.Expr]) -> pl.Expr:
        if node.op in _OPERATORS:
            result: pl.Expr = _OPERATORS[node.op](*parts)
            return result
        if node.op in _OF_ONE:
            return _OF_ONE[node.op](parts[0])
        value: Any = node.value
        match node.op:
            case Op.AND:
                return reduce(operator.and_, parts)
            case Op.OR:
                return reduce(operator.or_, parts)
            case Op.DIV:
                return pl.when(parts[1] != 0).then(parts[0] / _as_column(parts[1]))
            case Op.MOD:
                return _remainder(*parts)
            case Op.GREATEST:
                return _greatest(parts, node.type)
            case Op.LEAST:
                return pl.min_horizontal(parts)
            case Op.COALESCE:
                return pl.coalesce(parts)
            case Op.CASE:
                return self._case(node, parts)
            case Op.LEFT:
                return parts[0].str.head(value)
            case Op.RIGHT:
                return parts[0].str.tail(value)
            case Op.LIKE:
                return parts[0].str.contains(_pattern(value))
            case Op.IN:
                return parts[0].is_in(pl.Series(value, dtype=polars_type(node.operand_type)).implode())
            case Op.IN_LIST:
                return parts[0].is_in(pl.Series(sorted(self._lists.get(value, ())), dtype=pl.String).implode())
        # What remains is IN_PROFILE.
        values = pl.col(profile_name(value))
        return pl.when(values.is_not_null()).then(parts[0].is_in(values))

    def _case(self, node: Expression, values: list[pl.Expr]) -> pl.Expr:
        chain: Any = pl
        for condition, value in zip(node.when, values, strict=False):
            chain = chain.when(self.expression(condition)).then(value)
        result: pl.Expr = chain.otherwise(values[-1])
        return result


def _as_column(divisor: pl.Expr) -> pl.Expr:
    """Polars multiplies by the reciprocal of a constant divisor, which differs from a division in the last digit."""
    return divisor + pl.int_range(pl.len()).cast(pl.Float64) * 0.0


def _remainder(value: pl.Expr, divisor: pl.Expr) -> pl.Expr:
    """The remainder with the sign of the dividend, as in SQL; that of Polars has the sign of the divisor."""
    floored = value % divisor
    truncated = pl.when((floored != 0) & ((floored < 0) != (value < 0))).then(floored - divisor).otherwise(floored)
    return pl.when(divisor != 0).then(truncated)


def _greatest(parts: list[pl.Expr], kind: Kind) -> pl.Expr:
    largest = pl.max_horizontal(parts)
    if kind is not Kind.DOUBLE:
        return largest
    # Comparisons take NaN for the largest number, max_horizontal does not.
    nan = pl.any_horizontal([part.is_nan().fill_null(value=False) for part in parts])
    return pl.when(nan).then(pl.lit(float("nan"))).otherwise(largest)


def _pattern(like: str) -> str:
    """The regular expression of a LIKE pattern: ``%`` is any text, ``_`` any character."""
    special = {"%": ".*", "_": "."}
    return "(?s)^" + "".join(special.get(sign) or re.escape(sign) for sign in like) + "$"
