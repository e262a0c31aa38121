"""``gold.pipeline_minutes``: what each service did in each minute, made again from the tables when a minute changes.

A minute is made of all that the tables hold of it and takes the place of what was there, so that doing it again changes
nothing, whatever was killed when (docs/pipeline-minutes.md says what the columns mean).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import Final

import polars as pl
from cardwatch_lakehouse.tables import GOLD_PIPELINE_MINUTES
from cardwatch_units.timestamps import to_microseconds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.merge import retry_on_conflict
from cardwatch_detector.lakehouse.io.read import read_table
from cardwatch_detector.lakehouse.io.time_ranges import LAST_US, TimeRange, at, time_filter, time_ranges
from cardwatch_detector.lakehouse.io.write import replace_rows
from cardwatch_detector.lakehouse.pipeline_minutes.figures import MINUTE_US, TABLES, arrivals, figures
from cardwatch_detector.runtime.session import COMPILED
from cardwatch_detector.runtime.session_settings import temporary_settings

# As many as the rows are worth.
_TASKS: Final = {"spark.sql.adaptive.enabled": "true", "spark.sql.shuffle.partitions": "8"}

MANY: Final = {**COMPILED, **_TASKS}
"""Settings for many rows, in a session that is set up for few."""


def refresh_minutes(
    session: SparkSession,
    tables_dir: str,
    dates: Collection[date] | None = None,
    settings: Mapping[str, str] = _TASKS,
) -> int:
    """Make all minutes of some dates (UTC) anew: what a rebuild, or an erasure in the sources, asks for.

    One commit a date; doing it again changes nothing. It may run beside the query: of two writers that meet, one does
    its part again.

    Args:
        dates: None for all that the sources hold anything of; minutes that are older than the sources stay then.
        settings: of Spark, while it works.

    Returns:
        The number of rows.

    Raises:
        one of CONFLICTS: somebody else kept changing the table.
    """
    if dates is None:
        minutes = reduce(DataFrame.union, (arrivals(read_table(session, tables_dir, table), table) for table in TABLES))
        with temporary_settings(session, settings):
            dates = {at(minute).date() for minute in touched(minutes)}
    return sum(_put(session, tables_dir, [_whole(day)], settings) for day in sorted(set(dates)))


def refresh_touched(
    session: SparkSession, tables_dir: str, minutes: Iterable[int], batch_id: int, settings: Mapping[str, str]
) -> int:
    """Make minutes anew, in one commit; others between them may be made with them.

    Args:
        minutes: when they begin, microseconds since 1970; at least one.
        batch_id: the micro-batch that asks for it; the same minutes whenever it is repeated.
        settings: of the session, as the number of rows in the minutes suggests.

    Returns:
        The number of rows; 0 if the micro-batch has done it before.

    Raises:
        one of CONFLICTS: somebody else kept changing the table.
    """
    starts = time_ranges(pl.Series(list(minutes), dtype=pl.Int64), 0)
    when = [TimeRange(first, last + MINUTE_US - 1) for first, last in starts]
    return _put(session, tables_dir, when, settings, batch_id)


def touched(minutes: DataFrame) -> Mapping[int, int]:
    """How many ``arrivals`` there are in each minute, by when it begins in microseconds since 1970."""
    timely = minutes.where(F.col("minute_us").between(0, LAST_US - 1))
    found = timely.groupBy("minute_us").count().collect()
    return {row["minute_us"]: row["count"] for row in found}


@retry_on_conflict
def _put(
    session: SparkSession,
    tables_dir: str,
    when: Sequence[TimeRange],
    settings: Mapping[str, str],
    batch_id: int | None = None,
) -> int:
    with temporary_settings(session, settings):
        rows = figures(session, tables_dir, when).repartition("minute_date")
        return replace_rows(
            rows, GOLD_PIPELINE_MINUTES, tables_dir, time_filter(when, "minute", "minute_date"), batch_id
        )


def _whole(day: date) -> TimeRange:
    first = to_microseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return TimeRange(first, first + timedelta(days=1) // timedelta(microseconds=1) - 1)
