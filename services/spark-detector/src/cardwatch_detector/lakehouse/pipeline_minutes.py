"""``gold.pipeline_minutes``: what each service did in each minute, made again from the tables when a minute changes.

A minute is made of all that the tables hold of it and takes the place of what was there, so that doing it again changes
nothing, whatever was killed when (docs/pipeline-minutes.md says what the columns mean).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import Final

import polars as pl
from cardwatch_lakehouse.tables import (
    BRONZE_ALERT_EVENTS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_TRANSACTIONS,
    GOLD_PIPELINE_MINUTES,
    SILVER_TRANSACTIONS,
    Table,
)
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.window import Window

from cardwatch_detector.lakehouse.conflicts import again_on_conflict
from cardwatch_detector.lakehouse.quarantine import LAKEHOUSE
from cardwatch_detector.lakehouse.session_settings import configured
from cardwatch_detector.lakehouse.stretches import EPOCH, LAST_US, Stretch, at, in_stretches, stretches
from cardwatch_detector.lakehouse.write import replace
from cardwatch_detector.spark_session import COMPILED

PRODUCER: Final = "producer"
ENRICHER: Final = "enricher"
DETECTOR: Final = "detector"
SERVICES: Final = (PRODUCER, ENRICHER, DETECTOR, LAKEHOUSE)
"""Those that have a row in every minute in which any service did something."""

MINUTE_US: Final = 60_000_000

COUNTS: Final = ("rows", "refused", "late", "alerts_raised", "alerts_suppressed", "alerts_retracted")
_PERCENTS: Final = (50, 95, 99)
_STATUSES: Final = ("raised", "suppressed", "retracted")

# As many as the rows are worth.
_TASKS: Final = {"spark.sql.adaptive.enabled": "true", "spark.sql.shuffle.partitions": "8"}

MANY: Final = {**COMPILED, **_TASKS}
"""Settings for many rows, in a session that is set up for few."""


@dataclass(frozen=True)
class Source:
    """What a table says of a service.

    Attributes:
        service: SQL, by columns of the table.
        at: the column whose minute a row counts in: when the service put it out.
        counts: those of COUNTS that are not 0: what a row adds to them, SQL.
        since: the column with the time from which the row's latency is counted; empty where it has none.
        timed: of which rows the latency counts, SQL.
        where: which rows count at all, SQL.
        day: the column with the day of `at`, if the table is partitioned by it.
    """

    table: Table
    service: str
    at: str
    counts: Mapping[str, str] = field(default_factory=lambda: {"rows": "1"})
    since: str = ""
    timed: str = "true"
    where: str = "true"
    day: str | None = None


SOURCES: Final = (
    Source(BRONZE_TRANSACTIONS, f"'{PRODUCER}'", "broker_time"),
    Source(SILVER_TRANSACTIONS, f"'{ENRICHER}'", "silver_broker_time", since="raw_broker_time"),
    Source(
        BRONZE_ALERT_EVENTS,
        f"'{DETECTOR}'",
        "broker_time",
        {"rows": "1", **{f"alerts_{status}": f"if(status = '{status}', 1, 0)" for status in _STATUSES}},
        since="raw_broker_time",
        timed="status = 'raised'",
    ),
    Source(BRONZE_LATE, f"'{DETECTOR}'", "broker_time", {"late": "1"}),
    Source(BRONZE_TRANSACTIONS, f"'{LAKEHOUSE}'", "ingested_at", since="broker_time", day="ingest_date"),
    Source(BRONZE_QUARANTINE, "service", "dead_letter_broker_time", {"refused": "1"}),
    Source(
        BRONZE_QUARANTINE,
        f"'{LAKEHOUSE}'",
        "quarantined_at",
        {"refused": "1"},
        where="dead_letter_broker_time is null",
    ),
)
TABLES: Final = tuple({source.table.name: source.table for source in SOURCES}.values())
"""Those of SOURCES, each once. Their order is fixed by the checkpoint of the query that follows them."""


def refresh_minutes(session: SparkSession, tables_dir: str, dates: Collection[date] | None = None) -> int:
    """Make all minutes of some dates (UTC) anew: what a rebuild, or an erasure in the sources, asks for.

    One commit a date; doing it again changes nothing. It may run beside the query: of two writers that meet, one does
    its part again.

    Args:
        dates: None for all that the sources hold anything of; minutes that are older than the sources stay then.

    Returns:
        The number of rows.

    Raises:
        one of CONFLICTS: somebody else kept changing the table.
    """
    if dates is None:
        minutes = reduce(DataFrame.union, (arrivals(_table(session, tables_dir, table), table) for table in TABLES))
        with configured(session, _TASKS):
            dates = {at(minute).date() for minute in touched(minutes)}
    return sum(_put(session, tables_dir, [_whole(day)], _TASKS) for day in sorted(set(dates)))


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
    starts = stretches(pl.Series(list(minutes), dtype=pl.Int64), 0)
    when = [Stretch(first, last + MINUTE_US - 1) for first, last in starts]
    return _put(session, tables_dir, when, settings, batch_id)


def arrivals(rows: DataFrame, table: Table) -> DataFrame:
    """``minute_us``: the minutes that rows of one of TABLES count in, each as often as there are rows."""
    times = dict.fromkeys(source.at for source in SOURCES if source.table is table)
    return rows.select(F.explode(F.array(*(_minute_us(F.col(at)) for at in times))).alias("minute_us"))


def touched(minutes: DataFrame) -> Mapping[int, int]:
    """How many of ``arrivals`` there are in each minute, by when it begins in microseconds since 1970."""
    timely = minutes.where(F.col("minute_us").between(0, LAST_US - 1))
    found = timely.groupBy("minute_us").count().collect()
    return {row["minute_us"]: row["count"] for row in found}


@again_on_conflict
def _put(
    session: SparkSession,
    tables_dir: str,
    when: Sequence[Stretch],
    settings: Mapping[str, str],
    batch_id: int | None = None,
) -> int:
    with configured(session, settings):
        rows = pipeline_minutes(observations(session, tables_dir, when)).repartition("minute_date")
        return replace(rows, GOLD_PIPELINE_MINUTES, tables_dir, in_stretches(when, "minute", "minute_date"), batch_id)


def observations(session: SparkSession, tables_dir: str, when: Iterable[Stretch]) -> DataFrame:
    """What the sources hold of some stretches of time: ``minute_us``, ``service``, ``latency_ms`` (null where none is
    counted), ``timed`` (of how many rows it is the latency), and COUNTS."""
    stretches_of_time = list(when)
    return reduce(
        DataFrame.unionByName,
        (_observed(_table(session, tables_dir, source.table), source, stretches_of_time) for source in SOURCES),
    )


def _observed(table: DataFrame, source: Source, when: Sequence[Stretch]) -> DataFrame:
    latency: Column = F.lit(None).cast("bigint")
    if source.since:
        # Clocks may be set as they will: what cannot be subtracted has no latency, and fails no query.
        micros = F.try_subtract(F.unix_micros(source.at), F.unix_micros(source.since))
        latency = F.when(F.expr(source.timed), F.floor(micros / 1000).cast("bigint"))
    grouped = (
        table.where(in_stretches(when, source.at, source.day))
        .where(source.where)
        .groupBy(
            _minute_us(F.col(source.at)).alias("minute_us"),
            F.coalesce(F.expr(source.service), F.lit(LAKEHOUSE)).alias("service"),
            latency.alias("latency_ms"),
        )
    )
    sums = (F.sum(F.expr(source.counts.get(name, "0")).cast("bigint")).alias(name) for name in COUNTS)
    return grouped.agg(F.count(latency).alias("timed"), *sums)


def pipeline_minutes(observed: DataFrame) -> DataFrame:
    """Columns of GOLD_PIPELINE_MINUTES from ``observations`` of whole minutes."""
    by_latency = Window.partitionBy("minute_us", "service").orderBy("latency_ms")
    ranked = (
        observed.groupBy("minute_us", "service", "latency_ms")
        .agg(F.sum("timed").alias("timed"), *(F.sum(name).alias(name) for name in COUNTS))
        .withColumn("rank", F.sum("timed").over(by_latency.rowsBetween(Window.unboundedPreceding, 0)))
        .withColumn("of", F.sum("timed").over(Window.partitionBy("minute_us", "service")))
    )
    # The smallest latency that so many percent do not exceed, in whole numbers: no rounding decides.
    percentiles = {
        f"latency_p{percent}_ms": F.min(F.when(F.col("rank") * 100 >= F.col("of") * percent, F.col("latency_ms")))
        for percent in _PERCENTS
    }
    figures = {**{name: F.sum(name) for name in COUNTS}, **percentiles, "latency_max_ms": F.max("latency_ms")}
    found = ranked.groupBy("minute_us", "service").agg(*(column.alias(name) for name, column in figures.items()))
    # A service that did nothing while others did has a row that says so.
    row = F.struct("service", *figures)
    idle = (F.lit(0).cast("bigint") if name in COUNTS else F.lit(None).cast("bigint") for name in figures)
    idle_row = [column.alias(name) for column, name in zip(idle, figures, strict=True)]
    missing = F.transform(
        F.array_except(F.array(*(F.lit(service) for service in SERVICES)), F.collect_set("service")),
        lambda service: F.struct(service.alias("service"), *idle_row),
    )
    start = F.timestamp_micros("minute_us")
    return (
        found.groupBy("minute_us")
        .agg(F.concat(F.collect_list(row), missing).alias("services"))
        .select(start.alias("minute"), F.inline("services"), F.to_date(start).alias("minute_date"))
        .select(*GOLD_PIPELINE_MINUTES.columns)
    )


def _table(session: SparkSession, tables_dir: str, table: Table) -> DataFrame:
    return session.read.format("delta").load(table.path(tables_dir))


def _minute_us(at: Column) -> Column:
    time = F.unix_micros(at)
    return time - F.pmod(time, F.lit(MINUTE_US))


def _whole(day: date) -> Stretch:
    first = (datetime(day.year, day.month, day.day, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    return Stretch(first, first + timedelta(days=1) // timedelta(microseconds=1) - 1)
