"""SQL conditions over fields and measures, compiled by Polars and checked before they are used."""

from collections.abc import Mapping
from functools import lru_cache

import polars as pl
from cardwatch_contracts.errors import ConfigurationError
from polars.exceptions import PolarsError


@lru_cache(maxsize=4096)
def compile_sql(text: str) -> pl.Expr:
    """The Polars expression of an SQL expression.

    Raises:
        ConfigurationError: it is no SQL expression.
    """
    try:
        return pl.sql_expr(text)
    except PolarsError as error:
        raise ConfigurationError(f"`{text}` is no SQL expression: {_first_line(error)}") from error


def names_in(text: str) -> set[str]:
    """The fields and measures that an SQL expression names."""
    return set(compile_sql(text).meta.root_names())


def check_condition(text: str, schema: Mapping[str, pl.DataType]) -> None:
    """Check that an SQL expression is a condition over the given names.

    Raises:
        ConfigurationError: it names something unknown, mixes types, or is not true or false.
    """
    unknown = sorted(names_in(text) - set(schema))
    if unknown:
        raise ConfigurationError(
            f"`{text}` names {', '.join(f'`{name}`' for name in unknown)}; known here are {', '.join(sorted(schema))}"
        )
    # A row of each type, because some type errors show only when values are compared.
    frame = pl.DataFrame({name: [None, None] for name in schema}, schema=dict(schema))
    try:
        result = frame.select(compile_sql(text).alias("condition"))
    except PolarsError as error:
        raise ConfigurationError(f"`{text}` cannot be computed: {_first_line(error)}") from error
    kind = result.schema["condition"]
    if kind != pl.Boolean():
        raise ConfigurationError(f"`{text}` is a {kind}; a condition that is true or false would be right")


def holds(text: str, frame: pl.DataFrame) -> pl.Series:
    """Where the condition is true, as a boolean column of the frame's length; null does not hold."""
    result = frame.select(compile_sql(text).fill_null(value=False).alias("condition")).to_series()
    # A condition over constants only has one value for all rows.
    return result if len(result) == frame.height else pl.Series([result[0]] * frame.height, dtype=pl.Boolean)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
