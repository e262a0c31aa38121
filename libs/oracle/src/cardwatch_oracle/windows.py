"""The window `(t − W, t]`, in SQL."""

from pathlib import Path

import duckdb
import pyarrow as pa

from cardwatch_oracle.errors import OracleError
from cardwatch_oracle.transactions import columns_of, database, first_line, quoted


def frame(key: str, window_us: int) -> str:
    """The frame of a window function: `(t − window_us, t]` of one key, in whole microseconds.

    RANGE counts values, not rows: up to window_us − 1 before t, and every row with the same t, before or after it.

        window_us = 3       t−3  t−2  t−1   t
                             ·   [─────────────]      t−3 is out, t−2 is in
    """
    return f"PARTITION BY {key} ORDER BY event_time RANGE BETWEEN {window_us - 1} PRECEDING AND CURRENT ROW"


def windows(transactions: pa.Table | Path, key: str, window_us: int, value: str | None = None) -> pa.Table:
    """Number of transactions in the window of each one; with `value`, an integer field, also its sum and mean.

    Returns columns transaction_id, n, and with `value` sum (int64, null for nothing) and mean (float64), ordered by
    transaction_id. `window_us` is in microseconds and at least 1. Raises OracleError if a column is missing.
    """
    if window_us < 1:
        raise OracleError(f"a window must be at least 1 microsecond long, not {window_us}")
    with database(transactions) as connection:
        for name in [key, *([value] if value else [])]:
            if name not in columns_of(connection):
                raise OracleError(f"the transactions have no column {name}")
        measured = (
            f", (sum({quoted(value)}) OVER w)::BIGINT AS sum"
            f", (sum({quoted(value)}) OVER w)::DOUBLE / (count({quoted(value)}) OVER w)::DOUBLE AS mean"
            if value
            else ""
        )
        try:
            table: pa.Table = connection.sql(
                f"SELECT transaction_id, count(*) OVER w AS n{measured} FROM transactions "  # noqa: S608
                f"WHERE {quoted(key)} IS NOT NULL WINDOW w AS ({frame(quoted(key), window_us)}) ORDER BY transaction_id"
            ).to_arrow_table()
        except duckdb.Error as error:
            raise OracleError(f"windows cannot be computed: {first_line(error)}") from error
    return table
