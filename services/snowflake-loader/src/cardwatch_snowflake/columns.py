"""How a Delta table's columns are kept in Snowflake, and how they travel there in Parquet. No I/O.

Names become upper case, as Snowflake writes names that are not quoted. Times are TIMESTAMP_NTZ and hold UTC: they mean
the same in every session's time zone. Whole numbers of any width are NUMBER(38,0), so that widening one changes
nothing. Nested values are VARIANT; in Parquet they travel as JSON text, because how Snowflake reads Parquet's own lists
and structs depends on who wrote the file.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from cardwatch_contracts.errors import CardwatchError

# Marks the rows to delete in the files that are uploaded; no column of a Delta table has this name.
DELETED: Final = "CARDWATCH_DELETED"

_VARIANT: Final = "VARIANT"
_TIMESTAMP: Final = "TIMESTAMP_NTZ(6)"


def quoted(name: str) -> str:
    """An identifier that means the same as the upper-case name without quotes, reserved words included."""
    escaped = name.upper().replace('"', '""')
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: in Delta.
        type: in Snowflake's target table.
        to_parquet: DuckDB's expression that turns Delta's value into the one in the uploaded file.
    """

    name: str
    type: str
    to_parquet: str

    @property
    def target(self) -> str:
        """Its name in Snowflake, quoted."""
        return quoted(self.name)

    @property
    def staged_type(self) -> str:
        """Its type in the tables that files are copied into."""
        return "VARCHAR" if self.type == _VARIANT else self.type

    @property
    def from_staged(self) -> str:
        """Snowflake's expression that turns the staged value into the target's."""
        return f"PARSE_JSON({self.target})" if self.type == _VARIANT else self.target


def columns_of(schema: pa.Schema) -> tuple[Column, ...]:
    """The columns of a Delta table, given its Arrow schema.

    Raises:
        CardwatchError: a column has a type that is not known here.
    """
    return tuple(_column(field.name, field.type) for field in schema)


def missing(columns: Iterable[Column], present: Iterable[str]) -> list[Column]:
    """Those columns that a Snowflake table does not have; ``present`` are the table's column names as Snowflake returns
    them.
    """
    there = set(present)
    return [column for column in columns if column.name.upper() not in there]


def _column(name: str, arrow: pa.DataType) -> Column:
    kinds = pa.types
    source = _duckdb_name(name)
    if kinds.is_timestamp(arrow):
        return Column(name, _TIMESTAMP, source if arrow.tz is None else f"{source} AT TIME ZONE 'UTC'")
    if kinds.is_nested(arrow):
        return Column(name, _VARIANT, f"CAST(to_json({_finite(source, arrow, 0)}) AS VARCHAR)")
    if kinds.is_decimal(arrow):
        return Column(name, f"NUMBER({arrow.precision},{arrow.scale})", source)
    for fits, snowflake in (
        (kinds.is_string, "VARCHAR"),
        (kinds.is_large_string, "VARCHAR"),
        (kinds.is_string_view, "VARCHAR"),
        (kinds.is_boolean, "BOOLEAN"),
        (kinds.is_integer, "NUMBER(38,0)"),
        (kinds.is_floating, "FLOAT"),
        (kinds.is_date, "DATE"),
        (kinds.is_binary, "BINARY"),
        (kinds.is_large_binary, "BINARY"),
        (kinds.is_binary_view, "BINARY"),
    ):
        if fits(arrow):
            return Column(name, snowflake, source)
    raise CardwatchError(f"column {name} has the type {arrow}, which the Snowflake loader does not know")


def _finite(value: str, arrow: pa.DataType, depth: int) -> str:
    """DuckDB's expression of a nested value whose numbers JSON can write: NaN and infinities become null."""
    if pa.types.is_floating(arrow):
        return f"CASE WHEN isfinite({value}) THEN {value} END"
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        item = f"item_{depth}"
        inner = _finite(item, arrow.value_type, depth + 1)
        return value if inner == item else f"list_transform({value}, lambda {item}: {inner})"
    if pa.types.is_struct(arrow):
        fields = {field.name: f"{value}.{_duckdb_name(field.name)}" for field in arrow}
        inner_of = {field.name: _finite(fields[field.name], field.type, depth + 1) for field in arrow}
        if inner_of == fields:
            return value
        packed = ", ".join(f"{_duckdb_name(name)} := {inner}" for name, inner in inner_of.items())
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({packed}) END"
    return value


def _duckdb_name(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
