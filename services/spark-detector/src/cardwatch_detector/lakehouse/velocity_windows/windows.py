"""``gold.velocity_5m``: five-minute windows, recomputed from silver when a transaction in them arrives.

A window that has new transactions is computed from all its rows in silver, and replaces the rows that were there. So a
late
transaction is included however late it is, a micro-batch may be repeated, and a window does not depend on the order in
which its transactions came (docs/decisions/0007-velocity-windows.md).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl
from cardwatch_lakehouse.tables import GOLD_VELOCITY_5M, SILVER_TRANSACTIONS
from cardwatch_units.timestamps import MICROSECONDS_PER_MINUTE, from_microseconds
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, replace_rows
from cardwatch_detector.lakehouse.io.merge import retry_command_on_conflict
from cardwatch_detector.lakehouse.io.read import read_table
from cardwatch_detector.lakehouse.io.time_ranges import LAST_US, time_ranges
from cardwatch_detector.lakehouse.profiles.card_days import is_counted, one_of
from cardwatch_detector.lakehouse.velocity_windows.figures import (
    AMOUNT,
    COUNTED,
    DECLINED,
    DIMENSIONS,
    RESULT_TYPE,
    WINDOW_US,
    aggregate_windows,
)
from cardwatch_detector.runtime.session import COMPILED
from cardwatch_detector.runtime.session_settings import temporary_settings

LENGTH_US: Final = 5 * MICROSECONDS_PER_MINUTE

# Time ranges in a filter: a longer list would cost more than it lets Delta skip.
MAX_TIME_RANGES: Final = 24

# Shuffle partitions per window, so that few windows share one; Spark joins small partitions again.
_PARTITIONS_PER_WINDOW: Final = 8
_MAX_PARTITIONS: Final = 2_000


def refresh_velocity(session: SparkSession, tables_dir: str, dates: Collection[date] | None = None) -> int:
    """Compute all windows of some dates (UTC) again from silver, for a rebuild or after an erasure in silver.

    One commit per date; repeating it changes nothing. A date that silver holds nothing of has no windows afterwards.
    It may run at the same time as the query: where their commits conflict, one of the two repeats its part.

    Args:
        dates: None for all dates of silver and of the table.

    Returns:
        The number of rows.

    Raises:
        one of CONFLICTS: other writers kept changing the table.
    """
    silver = read_table(session, tables_dir, SILVER_TRANSACTIONS)
    if dates is None:
        table = read_table(session, tables_dir, GOLD_VELOCITY_5M)
        found = silver.select("event_date").union(table.select("window_date")).distinct().collect()
        dates = [row["event_date"] for row in found if row["event_date"] is not None]
    windows_per_day = timedelta(days=1) // timedelta(microseconds=LENGTH_US)
    return sum(
        _refresh(
            session,
            tables_dir,
            _Selection(F.col("event_date") == day, one_of("window_date", [day])),
            settings=_task_settings(windows_per_day),
        )
        for day in sorted(set(dates))
    )


def refresh_windows(
    session: SparkSession,
    tables_dir: str,
    windows: Collection[int],
    *,
    write_id: WriteId,
    settings: Mapping[str, str],
) -> int:
    """Compute windows again from silver, in one commit.

    Args:
        windows: when they begin, microseconds since 1970; at least one.
        write_id: of the micro-batch that asks for it, which must name the same windows whenever it is repeated.
        settings: of the session, as the number of transactions in the windows suggests.

    Returns:
        The number of rows; 0 if the micro-batch was written before.

    Raises:
        one of CONFLICTS: other writers kept changing the table.
    """
    starts = sorted(windows)
    days = {from_microseconds(start).date() for start in starts}
    near = one_of("event_date", days) + " AND " + _within("event_time", ranges(starts, MAX_TIME_RANGES))
    needs_exact = len(ranges(starts, len(starts))) > MAX_TIME_RANGES
    exact = _window_us().isin(starts) if needs_exact else F.lit(True)
    listed = ", ".join(_literal(start) for start in starts)
    of_windows = f"{one_of('window_date', days)} AND window_start IN ({listed})"
    selection = _Selection(F.expr(near) & exact, of_windows)
    return _refresh(session, tables_dir, selection, settings=settings, write_id=write_id)


@dataclass(frozen=True)
class _Selection:
    """The same windows, selected in both tables.

    Attributes:
        of_silver: a condition on SILVER_TRANSACTIONS that selects their transactions.
        of_windows: an SQL predicate that selects their rows in GOLD_VELOCITY_5M.
    """

    of_silver: Column
    of_windows: str


@retry_command_on_conflict
def _refresh(
    session: SparkSession,
    tables_dir: str,
    selection: _Selection,
    *,
    settings: Mapping[str, str],
    write_id: WriteId | None = None,
) -> int:
    with temporary_settings(session, settings):
        silver = read_table(session, tables_dir, SILVER_TRANSACTIONS)
        rows = velocity_windows(silver.where(selection.of_silver))
        return replace_rows(rows, GOLD_VELOCITY_5M, tables_dir, predicate=selection.of_windows, write_id=write_id)


def settings_for_many(windows: int) -> Mapping[str, str]:
    """Session settings for windows of many transactions; the session is set up for few."""
    return {**COMPILED, **_task_settings(windows)}


def _task_settings(windows: int) -> Mapping[str, str]:
    # The number of tasks follows from the number of rows: each window is in one task, and small windows share one.
    return {
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": str(min(windows * _PARTITIONS_PER_WINDOW, _MAX_PARTITIONS)),
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    }


def velocity_windows(transactions: DataFrame) -> DataFrame:
    """Columns of GOLD_VELOCITY_5M from those of SILVER_TRANSACTIONS, of which it must hold whole windows."""
    needed = transactions.where(F.unix_micros("event_time").between(0, LAST_US - 1)).select(
        _window_us().alias(WINDOW_US),
        *DIMENSIONS.values(),
        AMOUNT,
        F.coalesce(F.col("status") == "declined", F.lit(False)).alias(DECLINED),
        F.coalesce(is_counted(), F.lit(False)).alias(COUNTED),
    )
    computed = needed.repartition(WINDOW_US).mapInArrow(aggregate_windows, RESULT_TYPE)
    start = F.timestamp_micros(WINDOW_US)
    times = {
        "window_start": start,
        "window_end": F.timestamp_micros(F.col(WINDOW_US) + LENGTH_US),
        "window_date": F.to_date(start),
    }
    return computed.select(*(times.get(name, F.col(name)).alias(name) for name in GOLD_VELOCITY_5M.columns))


def transactions_by_window(transactions: DataFrame) -> Mapping[int, int]:
    """The number of transactions in each window, by its beginning in microseconds since 1970."""
    timely = transactions.where(F.unix_micros("event_time").between(0, LAST_US - 1))
    found = timely.groupBy(_window_us().alias(WINDOW_US)).count().collect()
    return {row[WINDOW_US]: row["count"] for row in found}


def ranges(starts: Iterable[int], at_most: int) -> list[tuple[int, int]]:
    """Time ranges [from, to) in microseconds that cover the windows, merged until there are at most ``at_most``.

    Args:
        starts: when the windows begin.
        at_most: how many ranges; the widest gaps between windows are left out.
    """
    half = LENGTH_US // 2  # around a window's middle
    middles = pl.Series([start + half for start in starts], dtype=pl.Int64)
    return [(first, last) for first, last in time_ranges(middles, within_us=half, at_most=at_most)]


def _window_us() -> Column:
    time = F.unix_micros("event_time")
    return time - F.pmod(time, F.lit(LENGTH_US))


def _within(column: str, spans: Iterable[tuple[int, int]]) -> str:
    alternatives = (f"({column} >= {_literal(start)} AND {column} < {_literal(end)})" for start, end in spans)
    return f"({' OR '.join(alternatives)})"


def _literal(us: int) -> str:
    return f"TIMESTAMP'{from_microseconds(us):%Y-%m-%d %H:%M:%S}+00:00'"
