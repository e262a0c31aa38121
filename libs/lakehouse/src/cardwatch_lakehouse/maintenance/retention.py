"""Deletes rows that are older than the retention of their layer."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.layout import layout_of
from cardwatch_lakehouse.maintenance.conflict_retry import retry_maintenance_on_conflict

# In predicates on timestamps, the library accepts this kind of literal only.
_TIMESTAMP: Final = 'Timestamp(Microsecond, Some("UTC"))'

Ages = Mapping[str, timedelta]
"""Layer → its retention. A layer without one keeps its rows forever."""


def age_of(name: str, ages: Ages) -> timedelta | None:
    """The retention of a table; None if it keeps its rows forever."""
    return ages.get(name.partition(".")[0]) if layout_of(name).time else None


def older_than(catalog: Catalog, name: str, age: timedelta, now: datetime) -> tuple[int, str]:
    """The rows of a table that are older than its retention.

    Returns:
        Their number, and SQL that is true for them.
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
    """Delete the rows of a table that are older than its retention; returns their number.

    The next vacuum deletes their files.

    Raises:
        ConfigurationError: there is no such table.
        deltalake.exceptions.DeltaError: the table cannot be written.
    """
    rows, where = older_than(catalog, name, age, now)
    if rows:
        retry_maintenance_on_conflict(lambda: catalog.open(name).delete(where))
    return rows
