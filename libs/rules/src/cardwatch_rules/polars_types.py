"""Types of Polars columns."""

import polars as pl

from cardwatch_rules.type_check import Kind


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
