"""A rebuilt table beside the one that it was rebuilt from, row by row."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import duckdb
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import ALL_TABLES, GOLD_ALERTS, GOLD_CARD_PROFILE, SILVER_TRANSACTIONS

from cardwatch_cli.interruption import interruptible

# Beside the keys that copies of the tables are matched by.
_KEYS: Final = {SILVER_TRANSACTIONS.name: ("transaction_id", "event_time")}
_NOT_COMPARED: Final = {
    # Says who wrote a row, and nothing of what it holds.
    GOLD_CARD_PROFILE.name: frozenset({"changed_by"}),
    # An alert tells what was known when it was raised. A late transaction that leaves it standing is not told again.
    GOLD_ALERTS.name: frozenset({"measures"}),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found.

    Attributes:
        live, made: rows of the table as it is, and of the rebuilt one.
        missing: rows whose key only the table as it is has.
        extra: rows whose key only the rebuilt one has.
        different: rows with the same key that differ.
        columns: in which they do.
        example: key of a row that is missing, extra or different; empty if there is none.
    """

    name: str
    live: int
    made: int
    missing: int
    extra: int
    different: int
    columns: tuple[str, ...]
    example: str

    @property
    def equal(self) -> bool:
        """Whether both hold the same."""
        return not (self.missing or self.extra or self.different) and self.live == self.made


def compare_table(live: Catalog, made: Catalog, name: str) -> Comparison:
    """Compare a table of two catalogs; columns that only one has are not compared.

    Raises:
        ConfigurationError: a table cannot be read.
    """
    datasets: dict[str, Any] = {
        "live": live.open(name).to_pyarrow_dataset(),
        "made": made.open(name).to_pyarrow_dataset(),
    }
    (table,) = (one for one in ALL_TABLES if one.name == name)
    keys = _KEYS.get(name, table.key)
    both = [column for column in datasets["made"].schema.names if column in datasets["live"].schema.names]
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
    # Names are those of columns of tables, not of anybody's input.
    same_key = " AND ".join(f'l."{key}" IS NOT DISTINCT FROM m."{key}"' for key in keys)
    differs = {column: f'l."{column}" IS DISTINCT FROM m."{column}"' for column in compared}
    any_differs = " OR ".join(differs.values()) or "false"
    joined = f"(SELECT *, true AS here FROM live) l FULL JOIN (SELECT *, true AS here FROM made) m ON {same_key}"  # noqa: S608
    numbers = ", ".join(
        f"count(*) FILTER (WHERE l.here AND m.here AND ({condition}))" for condition in (any_differs, *differs.values())
    )
    found = connection.execute(
        "SELECT (SELECT count(*) FROM live), (SELECT count(*) FROM made), "  # noqa: S608
        "count(*) FILTER (WHERE m.here IS NULL), count(*) FILTER (WHERE l.here IS NULL), "
        f"{numbers} FROM {joined}"
    ).fetchone()
    assert found is not None
    live, made, missing, extra, different = found[:5]
    shown = ", ".join(f'coalesce(l."{key}", m."{key}")' for key in keys)
    example = connection.execute(
        f"SELECT {shown} FROM {joined} WHERE l.here IS NULL OR m.here IS NULL OR ({any_differs}) LIMIT 1"  # noqa: S608
    ).fetchone()
    return Comparison(
        name,
        live,
        made,
        missing,
        extra,
        different,
        tuple(column for column, number in zip(compared, found[5:], strict=True) if number),
        "" if example is None else " ".join(map(str, example)),
    )
