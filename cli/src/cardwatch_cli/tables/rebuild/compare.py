"""Compares a rebuilt table with the live one, row by row."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import duckdb
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import ALL_TABLES, GOLD_ALERTS, GOLD_CARD_PROFILE, SILVER_TRANSACTIONS

from cardwatch_cli.interruption import interruptible

# Columns by which rows are matched, if not by the table's key.
_KEYS: Final = {SILVER_TRANSACTIONS.name: ("transaction_id", "event_time")}
_NOT_COMPARED: Final = {
    # Which process wrote the row.
    GOLD_CARD_PROFILE.name: frozenset({"changed_by"}),
    # An alert has the values at the time when it was raised; a late transaction may change them later.
    GOLD_ALERTS.name: frozenset({"measures"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a rebuilt table differs from the live one.

    Attributes:
        name: the table.
        live: number of rows of the live table.
        rebuilt: number of rows of the rebuilt one.
        missing: number of rows whose key only the live table has.
        extra: number of rows whose key only the rebuilt table has.
        different: number of rows with the same key that differ.
        columns: the columns in which they differ.
        example: key of a row that is missing, extra or different; empty if there is none.
    """

    name: str
    live: int
    rebuilt: int
    missing: int
    extra: int
    different: int
    columns: tuple[str, ...]
    example: str

    @property
    def equal(self) -> bool:
        """Whether both tables have the same rows."""
        return not (self.missing or self.extra or self.different) and self.live == self.rebuilt


def compare_table(live: Catalog, rebuilt: Catalog, name: str) -> Comparison:
    """Compare a table of two catalogs; columns that only one has are not compared.

    Raises:
        ConfigurationError: a table cannot be read.
    """
    datasets: dict[str, Any] = {
        "live": live.open(name).to_pyarrow_dataset(),
        "rebuilt": rebuilt.open(name).to_pyarrow_dataset(),
    }
    (table,) = (one for one in ALL_TABLES if one.name == name)
    keys = _KEYS.get(name, table.key)
    both = [column for column in datasets["rebuilt"].schema.names if column in datasets["live"].schema.names]
    compared = [column for column in both if column not in (*keys, *_NOT_COMPARED.get(name, ()))]
    connection = duckdb.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for side, dataset in datasets.items():
            connection.register(side, dataset)
        return interruptible(partial(_compared, connection, name, keys, compared), connection.interrupt)
    finally:
        connection.close()


def _compared(
    connection: duckdb.DuckDBPyConnection, name: str, keys: tuple[str, ...], compared: list[str]
) -> Comparison:
    # The names are the tables' own columns, no input of a user.
    same_key = " AND ".join(f'l."{key}" IS NOT DISTINCT FROM r."{key}"' for key in keys)
    differs = {column: f'l."{column}" IS DISTINCT FROM r."{column}"' for column in compared}
    any_differs = " OR ".join(differs.values()) or "false"
    joined = (
        "(SELECT *, true AS present FROM live) l FULL JOIN (SELECT *, true AS present FROM rebuilt) r "  # noqa: S608
        f"ON {same_key}"
    )
    numbers = ", ".join(
        f"count(*) FILTER (WHERE l.present AND r.present AND ({condition}))"
        for condition in (any_differs, *differs.values())
    )
    found = connection.execute(
        "SELECT (SELECT count(*) FROM live), (SELECT count(*) FROM rebuilt), "  # noqa: S608
        "count(*) FILTER (WHERE r.present IS NULL), count(*) FILTER (WHERE l.present IS NULL), "
        f"{numbers} FROM {joined}"
    ).fetchone()
    assert found is not None
    live, rebuilt, missing, extra, different = found[:5]
    key = ", ".join(f'coalesce(l."{key}", r."{key}")' for key in keys)
    example = connection.execute(
        f"SELECT {key} FROM {joined} WHERE l.present IS NULL OR r.present IS NULL OR ({any_differs}) LIMIT 1"  # noqa: S608
    ).fetchone()
    return Comparison(
        name=name,
        live=live,
        rebuilt=rebuilt,
        missing=missing,
        extra=extra,
        different=different,
        columns=tuple(column for column, number in zip(compared, found[5:], strict=True) if number),
        example="" if example is None else " ".join(map(str, example)),
    )
