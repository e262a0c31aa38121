"""``gold.velocity_5m``: windows of five minutes, made again from silver whenever one of their transactions comes.

A window that was touched is made anew of all that silver holds of it and takes the place of what was there. So a late
transaction is merged however late it is, a micro-batch may be done twice, and what a window says does not depend on the
order in which its transactions came (docs/decisions/0007-velocity-windows.md).
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from typing import Final

import polars as pl
from cardwatch_lakehouse.tables import GOLD_VELOCITY_5M, SILVER_TRANSACTIONS
from cardwatch_units.timestamps import MICROSECONDS_PER_MINUTE
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.merge import retry_on_conflict
from cardwatch_detector.lakehouse.io.read import read_table
from cardwatch_detector.lakehouse.io.time_ranges import LAST_US, at, time_ranges
from cardwatch_detector.lakehouse.io.write import replace_rows
from cardwatch_detector.lakehouse.profiles.card_days import is_counted, one_of
from cardwatch_detector.lakehouse.velocity_windows.figures import (
    AMOUNT,
    COUNTED,
    DECLINED,
    DIMENSIONS,
    RESULT_TYPE,
    WINDOW_US,
    figures,
)
from cardwatch_detector.runtime.session import COMPILED
from cardwatch_detector.runtime.session_settings import temporary_settings

LENGTH_US: Final = 5 * MICROSECONDS_PER_MINUTE

# Ranges of time that a filter is made of at most: a longer list would cost more than it lets skip.
_RANGES: Final = 24

# Shuffle partitions for each window, so that few share one; Spark puts small ones together again.
_PARTITIONS_A_WINDOW: Final = 8
_MOST_PARTITIONS: Final = 2_000


def refresh_velocity(session: SparkSession, tables_dir: str, dates: Collection[date] | None = None) -> int:
    """Make all windows of some dates (UTC) anew from silver: what a rebuild, or an erasure in silver, asks for.

    One commit a date; doing it again changes nothing. A date that silver holds nothing of has no windows afterwards.
    It may run beside the query: of two writers that meet, one does its part again.

    Args:
        dates: None for all that silver or the table has.

    Returns:
        The number of rows.

    Raises:
        one of CONFLICTS: somebody else kept changing the table.
    """
    silver = read_table(session, tables_dir, SILVER_TRANSACTIONS)
    if dates is None:
        table = read_table(session, tables_dir, GOLD_VELOCITY_5M)
        found = silver.select("event_date").union(table.select("window_date")).distinct().collect()
        dates = [row["event_date"] for row in found if row["event_date"] is not None]
    whole_day = timedelta(days=1) // timedelta(microseconds=LENGTH_US)
    return sum(
        _put(session, tables_dir, F.col("event_date") == day, one_of("window_date", [day]), _tasks(whole_day))
        for day in sorted(set(dates))
    )


def refresh_windows(
    session: SparkSession, tables_dir: str, windows: Collection[int], batch_id: int, settings: Mapping[str, str]
) -> int:
    """Make windows anew from silver, in one commit. Returns the number of rows; 0 if the micro-batch has done it.

    Args:
        windows: when they begin, microseconds since 1970; at least one.
        batch_id: the micro-batch that asks for it; the same windows whenever it is repeated.
        settings: of the session, as the number of transactions in the windows suggests.

    Raises:
        one of CONFLICTS: somebody else kept changing the table.
    """
    starts = sorted(windows)
    days = {at(start).date() for start in starts}
    of_windows = one_of("event_date", days) + " AND " + _within("event_time", ranges(starts, _RANGES))
    exactly = _window_us().isin(starts) if len(ranges(starts, len(starts))) > _RANGES else F.lit(True)
    listed = ", ".join(_literal(start) for start in starts)
    these = f"{one_of('window_date', days)} AND window_start IN ({listed})"
    return _put(session, tables_dir, F.expr(of_windows) & exactly, these, settings, batch_id)


@retry_on_conflict
def _put(
    session: SparkSession,
    tables_dir: str,
    of_silver: Column,
    these: str,
    settings: Mapping[str, str],
    batch_id: int | None = None,
) -> int:
    with temporary_settings(session, settings):
        silver = read_table(session, tables_dir, SILVER_TRANSACTIONS)
        return replace_rows(velocity(silver.where(of_silver)), GOLD_VELOCITY_5M, tables_dir, these, batch_id)


def many(windows: int) -> Mapping[str, str]:
    """Settings for windows of many transactions, in a session that is set up for few."""
    return {**COMPILED, **_tasks(windows)}


def _tasks(windows: int) -> Mapping[str, str]:
    # As many as the rows are worth: each window is in one task, small ones share one.
    return {
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": str(min(windows * _PARTITIONS_A_WINDOW, _MOST_PARTITIONS)),
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    }


def velocity(transactions: DataFrame) -> DataFrame:
    """Columns of GOLD_VELOCITY_5M from those of SILVER_TRANSACTIONS, of which it must hold whole windows."""
    needed = transactions.where(F.unix_micros("event_time").between(0, LAST_US - 1)).select(
        _window_us().alias(WINDOW_US),
        *DIMENSIONS.values(),
        AMOUNT,
        F.coalesce(F.col("status") == "declined", F.lit(False)).alias(DECLINED),
        F.coalesce(is_counted(), F.lit(False)).alias(COUNTED),
    )
    made = needed.repartition(WINDOW_US).mapInArrow(figures, RESULT_TYPE)
    start = F.timestamp_micros(WINDOW_US)
    times = {
        "window_start": start,
        "window_end": F.timestamp_micros(F.col(WINDOW_US) + LENGTH_US),
        "window_date": F.to_date(start),
    }
    return made.select(*(times.get(name, F.col(name)).alias(name) for name in GOLD_VELOCITY_5M.columns))


def transactions_by_window(transactions: DataFrame) -> Mapping[int, int]:
    """How many transactions there are in each window, by when it begins in microseconds since 1970."""
    timely = transactions.where(F.unix_micros("event_time").between(0, LAST_US - 1))
    found = timely.groupBy(_window_us().alias(WINDOW_US)).count().collect()
    return {row[WINDOW_US]: row["count"] for row in found}


def ranges(starts: Iterable[int], at_most: int) -> list[tuple[int, int]]:
    """Ranges [from, to) of time, microseconds, that hold the windows: few rather than narrow.

    Args:
        starts: when the windows begin.
        at_most: how many ranges; the widest gaps stay open.
    """
    half = LENGTH_US // 2  # around a window's middle
    middles = pl.Series([start + half for start in starts], dtype=pl.Int64)
    return [(first, last) for first, last in time_ranges(middles, half, at_most)]


def _window_us() -> Column:
    time = F.unix_micros("event_time")
    return time - F.pmod(time, F.lit(LENGTH_US))


def _within(column: str, spans: Iterable[tuple[int, int]]) -> str:
    alternatives = (f"({column} >= {_literal(start)} AND {column} < {_literal(end)})" for start, end in spans)
    return f"({' OR '.join(alternatives)})"


def _literal(us: int) -> str:
    return f"TIMESTAMP'{at(us):%Y-%m-%d %H:%M:%S}+00:00'"
