"""``gold.pipeline_minutes``: what each service did in each minute, computed again when a minute changes.

A minute is computed from all rows that the tables hold of it and replaces the rows that were there, so that repeating
the computation after a crash changes nothing (docs/pipeline-minutes.md defines the columns).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import reduce
from typing import Final

import polars as pl
from cardwatch_lakehouse.tables import GOLD_PIPELINE_MINUTES
from cardwatch_units.timestamps import MICROSECONDS_PER_DAY, from_microseconds, to_microseconds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, replace_rows
from cardwatch_detector.lakehouse.io.merge import retry_command_on_conflict
from cardwatch_detector.lakehouse.io.read import read_table
from cardwatch_detector.lakehouse.io.time_ranges import LAST_US, TimeRange, time_filter, time_ranges
from cardwatch_detector.lakehouse.pipeline_minutes.figures import MINUTE_US, TABLES, arrivals, minute_figures
from cardwatch_detector.runtime.session import COMPILED
from cardwatch_detector.runtime.session_settings import temporary_settings

# The number of tasks follows from the number of rows.
TASK_SETTINGS: Final = {"spark.sql.adaptive.enabled": "true", "spark.sql.shuffle.partitions": "8"}

SETTINGS_FOR_MANY: Final = {**COMPILED, **TASK_SETTINGS}
"""Session settings for many rows; the session is set up for few."""


def refresh_minutes(
    session: SparkSession,
    tables_dir: str,
    dates: Collection[date] | None = None,
    *,
    settings: Mapping[str, str] = TASK_SETTINGS,
) -> int:
    """Compute all minutes of some dates (UTC) again, for a rebuild or after an erasure in the sources.

    One commit per date; repeating it changes nothing. It may run at the same time as the query: where their commits
    conflict, one of
    the two repeats its part.

    Args:
        dates: None for all that the sources hold anything of; minutes that are older than the sources stay then.
        settings: of the session meanwhile.

    Returns:
        The number of rows.

    Raises:
        one of CONFLICTS: other writers kept changing the table.
    """
    if dates is None:
        rows = (arrivals(read_table(session, tables_dir, table), table) for table in TABLES)
        with temporary_settings(session, settings):
            minutes = rows_by_minute(reduce(DataFrame.union, rows))
        dates = {from_microseconds(minute).date() for minute in minutes}
    return sum(_refresh(session, tables_dir, [_day_range(day)], settings=settings) for day in sorted(set(dates)))


def refresh_touched(
    session: SparkSession,
    tables_dir: str,
    minutes: Iterable[int],
    *,
    write_id: WriteId,
    settings: Mapping[str, str],
) -> int:
    """Compute minutes again, in one commit; others between them may be computed with them.

    Args:
        minutes: when they begin, microseconds since 1970; at least one.
        write_id: of the micro-batch that asks for it, which must name the same minutes whenever it is repeated.
        settings: of the session, as the number of rows in the minutes suggests.

    Returns:
        The number of rows; 0 if the micro-batch was written before.

    Raises:
        one of CONFLICTS: other writers kept changing the table.
    """
    starts = time_ranges(pl.Series(list(minutes), dtype=pl.Int64), within_us=0)
    when = [TimeRange(first, last + MINUTE_US - 1) for first, last in starts]
    return _refresh(session, tables_dir, when, settings=settings, write_id=write_id)


def rows_by_minute(minutes: DataFrame) -> Mapping[int, int]:
    """The number of ``arrivals`` in each minute, by its beginning in microseconds since 1970."""
    timely = minutes.where(F.col("minute_us").between(0, LAST_US - 1))
    found = timely.groupBy("minute_us").count().collect()
    return {row["minute_us"]: row["count"] for row in found}


@retry_command_on_conflict
def _refresh(
    session: SparkSession,
    tables_dir: str,
    when: Sequence[TimeRange],
    *,
    settings: Mapping[str, str],
    write_id: WriteId | None = None,
) -> int:
    with temporary_settings(session, settings):
        rows = minute_figures(session, tables_dir, when).repartition("minute_date")
        replaced = time_filter(when, "minute", day="minute_date")
        return replace_rows(rows, GOLD_PIPELINE_MINUTES, tables_dir, predicate=replaced, write_id=write_id)


def _day_range(day: date) -> TimeRange:
    first = to_microseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return TimeRange(first, first + MICROSECONDS_PER_DAY - 1)
