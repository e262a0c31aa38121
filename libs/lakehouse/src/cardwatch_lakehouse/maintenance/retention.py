"""Deleting the rows of a table that are older than they may get."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.layout import layout_of
from cardwatch_lakehouse.maintenance.commit_retry import retried

# The library compares with its own kind of literal in some places only.
_TIMESTAMP: Final = 'Timestamp(Microsecond, Some("UTC"))'

Ages = Mapping[str, timedelta]
"""Layer → how old its rows may get. A layer that is not in it keeps its rows for ever."""


def age_of(name: str, ages: Ages) -> timedelta | None:
    """How old the rows of a table may get; None: as old as they like."""
    return ages.get(name.partition(".")[0]) if layout_of(name).time else None


def older_than(catalog: Catalog, name: str, age: timedelta, now: datetime) -> tuple[int, str]:
    """What is too old in a table.

    Returns:
        How many rows, and SQL that is true of them.
    """
    column, limit = layout_of(name).time, now - age
    table = catalog.open(name)
    (kind,) = (str(field.type) for field in table.schema().fields if field.name == column)
    is_date = kind == 'PrimitiveType("date")'
    literal = f"DATE '{limit:%Y-%m-%d}'" if is_date else f"arrow_cast('{limit:%Y-%m-%dT%H:%M:%SZ}', '{_TIMESTAMP}')"
    where = f"{column} < {literal}"
    rows = sum(batch.num_rows for batch in table.scan(columns=[column], predicate=where))
    return rows, where


def retain(catalog: Catalog, name: str, age: timedelta, now: datetime) -> int:
    """Delete the rows of a table that are older; returns how many. Their files go with the next vacuum.

    Raises:
        ConfigurationError: there is no such table.
        deltalake.exceptions.DeltaError: it cannot be written.
    """
    rows, where = older_than(catalog, name, age, now)
    if rows:
        retried(lambda: catalog.open(name).delete(where))
    return rows
