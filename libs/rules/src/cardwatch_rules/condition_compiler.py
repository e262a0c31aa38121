"""Compiles a rule's conditions (``when``, and a measure's ``where``) from SQL to Polars expressions.

docs/rules.md says what conditions mean.
"""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl
from cardwatch_contracts.errors import ConfigurationError
from sqlglot import exp

from cardwatch_rules.sql import list_of, literal, name_of, parse_sql
from cardwatch_rules.type_check import Kind

Lists = Mapping[str, frozenset[str]]

NO_LISTS: Final[Lists] = {}


def polars_type(kind: Kind) -> pl.DataType:
    """The type of a column whose values are of a kind."""
    return {
        Kind.INTEGER: pl.Int64(),
        Kind.DOUBLE: pl.Float64(),
        Kind.TEXT: pl.String(),
        Kind.BOOLEAN: pl.Boolean(),
        Kind.NULL: pl.Null(),
        Kind.TEXTS: pl.List(pl.String()),
        Kind.INTEGERS: pl.List(pl.Int64()),
    }[kind]


def compile_condition(text: str, lists: Lists = NO_LISTS, columns: Mapping[str, str] | None = None) -> pl.Expr:
    """Compile a checked SQL condition to a Polars expression.

    Args:
        lists: the lists for ``in list('name')``; an unknown list is empty.
        columns: name in the expression → column of the frame, where they differ.

    Raises:
        ConfigurationError: it is not an SQL expression, or uses something that rules may not use.
    """
    return _Compiler(lists, columns or {}).expression(parse_sql(text))


def evaluate_condition(text: str, frame: pl.DataFrame, lists: Lists = NO_LISTS) -> pl.Series:
    """Whether a condition is true, as a boolean column of the frame's length; null counts as false."""
    return evaluate_conditions(frame, [compile_condition(text, lists)])[0]


def evaluate_conditions(frame: pl.DataFrame, expressions: list[pl.Expr]) -> list[pl.Series]:
    """Whether conditions are true, as boolean columns of the frame's length; null counts as false."""
    found = frame.select(
        # A condition over constants only would have one value for all rows, and null no type.
        (pl.repeat(value=True, n=pl.len()) & expression.cast(pl.Boolean).fill_null(value=False)).alias(str(at))
        for at, expression in enumerate(expressions)
    )
    return found.get_columns()


class _Compiler:
    def __init__(self, lists: Lists, columns: Mapping[str, str]) -> None:
        self._lists = lists
        self._columns = columns

    def expression(self, node: Any) -> pl.Expr:
        match node:
            case exp.Paren():
                return self.expression(node.this)
            case exp.Column():
                name = name_of(node)
                return pl.col(self._columns.get(name, name))
            case exp.Null():
                return pl.lit(None)
            case exp.Boolean() | exp.Literal():
                return pl.lit(literal(node))
            case exp.And():
                return self.expression(node.this) & self.expression(node.expression)
            case exp.Or():
                return self.expression(node.this) | self.expression(node.expression)
            case exp.Not():
                return self.expression(node.this).cast(pl.Boolean).not_()
            case exp.Neg():
                return -self.expression(node.this)
            case exp.Is():
                return self._is(node)
            case exp.In():
                return self._in(node)
            case exp.Between():
                value = self.expression(node.this)
                low, high = self.expression(node.args["low"]), self.expression(node.args["high"])
                return (value >= low) & (value <= high)
            case exp.Like():
                found = self.expression(node.this).str.contains(_pattern(str(node.expression.this)))
                return found.not_() if node.args.get("negate") else found
            case exp.Case():
                return self._case(node)
            case exp.EQ():
                return self.expression(node.this) == self.expression(node.expression)
            case exp.NEQ():
                return self.expression(node.this) != self.expression(node.expression)
            case exp.LT():
                return self.expression(node.this) < self.expression(node.expression)
            case exp.LTE():
                return self.expression(node.this) <= self.expression(node.expression)
            case exp.GT():
                return self.expression(node.this) > self.expression(node.expression)
            case exp.GTE():
                return self.expression(node.this) >= self.expression(node.expression)
            case exp.Add():
                return self.expression(node.this) + self.expression(node.expression)
            case exp.Sub():
                return self.expression(node.this) - self.expression(node.expression)
            case exp.Mul():
                return self.expression(node.this) * self.expression(node.expression)
        return self._function(node)

    def _is(self, node: Any) -> pl.Expr:
        value = self.expression(node.this)
        if isinstance(node.expression, exp.Null):
            return value.is_null()
        known = value.fill_null(value=False)
        return known if node.expression.this else value.not_().fill_null(value=False)

    def _in(self, node: Any) -> pl.Expr:
        value = self.expression(node.this)
        name = list_of(node)
        if name is not None:
            return value.is_in(pl.Series(sorted(self._lists.get(name, ())), dtype=pl.String).implode())
        inside = node.args.get("field")
        if isinstance(inside, exp.Column):
            values = self.expression(inside)
            return pl.when(values.is_not_null()).then(value.is_in(values))
        return value.is_in([literal(one) for one in node.expressions])

    def _case(self, node: Any) -> pl.Expr:
        result: Any = None
        for branch in node.args["ifs"]:
            chain = pl if result is None else result
            result = chain.when(self.expression(branch.this)).then(self.expression(branch.args["true"]))
        default = node.args.get("default")
        otherwise: pl.Expr = result.otherwise(self.expression(default) if default else pl.lit(None))
        return otherwise

    def _function(self, node: Any) -> pl.Expr:
        match node:
            case exp.Div():
                divisor = self.expression(node.expression)
                return _unless_zero(divisor, self.expression(node.this).cast(pl.Float64) / divisor.cast(pl.Float64))
            case exp.Mod():
                value, divisor = self.expression(node.this), self.expression(node.expression)
                # Polars' remainder has the sign of the divisor, SQL's that of the dividend.
                return _unless_zero(divisor, (value.abs() % divisor.abs()) * value.sign())
            case exp.Abs():
                return self.expression(node.this).abs()
            case exp.Ceil():
                return self.expression(node.this).ceil()
            case exp.Floor():
                return self.expression(node.this).floor()
            case exp.Greatest():
                return pl.max_horizontal([self.expression(part) for part in (node.this, *node.expressions)])
            case exp.Least():
                return pl.min_horizontal([self.expression(part) for part in (node.this, *node.expressions)])
            case exp.Coalesce():
                return pl.coalesce([self.expression(part) for part in (node.this, *node.expressions)])
            case exp.Lower():
                return self.expression(node.this).str.to_lowercase()
            case exp.Upper():
                return self.expression(node.this).str.to_uppercase()
            case exp.Length():
                return self.expression(node.this).str.len_chars().cast(pl.Int64)
            case exp.Left():
                return self.expression(node.this).str.head(_length(node))
            case exp.Right():
                return self.expression(node.this).str.tail(_length(node))
        raise ConfigurationError(f"`{node.sql(dialect='duckdb')}` cannot be used in a rule")


def _length(node: Any) -> int:
    return int(literal(node.expression) or 0)


def _unless_zero(divisor: pl.Expr, result: pl.Expr) -> pl.Expr:
    return pl.when(divisor != 0).then(result)


def _pattern(like: str) -> str:
    """The regular expression of a LIKE pattern: ``%`` is any text, ``_`` any character."""
    special = {"%": ".*", "_": "."}
    return "(?s)^" + "".join(special.get(sign, _escaped(sign)) for sign in like) + "$"


def _escaped(sign: str) -> str:
    return sign if sign.isalnum() or sign.isspace() else f"\\{sign}" if sign.isascii() else sign
