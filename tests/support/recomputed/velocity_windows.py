"""``gold.velocity_5m`` recomputed from silver by DuckDB, and its rows as they are."""

from typing import Any, Final

import duckdb
from cardwatch_lakehouse.tables import GOLD_VELOCITY_5M, SILVER_TRANSACTIONS
from deltalake import DeltaTable

KEYS: Final = {
    "card": "card_token",
    "merchant": "merchant_id",
    "country": "country",
    "category": "merchant_category_code",
}
_COUNTED: Final = "(status = 'approved' AND transaction_type <> 'refund')"

# The definition in docs, written independently of the Spark query.
_GROUPED: Final = " UNION ALL ".join(
    f"""
    SELECT time_bucket(INTERVAL 5 MINUTES, event_time) AS window_start,
        window_start + INTERVAL 5 MINUTES AS window_end, '{dimension}' AS dimension, {column} AS key,
        count(*) AS transactions, coalesce(sum(base_amount_minor), 0) AS base_amount_minor,
        count(*) FILTER (status = 'declined') AS declined_transactions,
        count(*) FILTER {_COUNTED} AS counted_transactions,
        coalesce(sum(base_amount_minor) FILTER {_COUNTED}, 0) AS counted_amount_minor,
        count(DISTINCT card_token) AS distinct_cards, count(DISTINCT merchant_id) AS distinct_merchants,
        count(DISTINCT country) AS distinct_countries, CAST(window_start AS DATE) AS window_date
    FROM silver WHERE {column} IS NOT NULL GROUP BY ALL"""
    for dimension, column in KEYS.items()
)


def recompute_windows(tables_dir: str) -> list[tuple[Any, ...]]:
    """The rows that follow from silver, sorted."""
    return _rows(SILVER_TRANSACTIONS.path(tables_dir), "silver", _GROUPED)


def read_windows(tables_dir: str) -> list[tuple[Any, ...]]:
    """The rows of the table, sorted."""
    return _rows(GOLD_VELOCITY_5M.path(tables_dir), "gold", f"SELECT {', '.join(GOLD_VELOCITY_5M.columns)} FROM gold")


def _rows(path: str, name: str, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register(name, DeltaTable(path).to_pyarrow_table())
        found = database.execute(query).fetchall()
    return sorted(tuple(int(value) if _is_number(value) else value for value in row) for row in found)


def _is_number(value: Any) -> bool:
    return hasattr(value, "__int__")
