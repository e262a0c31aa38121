"""Rebuilds silver from enriched transactions, and gold from silver, in another directory: batch work without topics.

A rebuilt row takes what only the original run knew (when a transaction was enriched, its position in the silver topic)
from the row that it replaces; where there is none, those columns are null.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.locations import for_spark
from cardwatch_lakehouse.tables import (
    DERIVED_TABLES,
    GOLD_ALERTS,
    SILVER_TRANSACTIONS,
    Table,
)
from cardwatch_service.logs import configure_logging
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_units.durations import parse_duration
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.create import create_tables
from cardwatch_detector.lakehouse.io.read import read_table
from cardwatch_detector.lakehouse.pipeline_minutes.figures import TABLES as SOURCES_OF_MINUTES
from cardwatch_detector.lakehouse.pipeline_minutes.refresh import refresh_minutes
from cardwatch_detector.lakehouse.profiles.calendar import kept_from, last_day, newest_profile, plan_refresh
from cardwatch_detector.lakehouse.profiles.card_days import refresh_days
from cardwatch_detector.lakehouse.profiles.card_profile import ProfileRefresh, refresh_profiles
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.lakehouse.velocity_windows.windows import refresh_velocity
from cardwatch_detector.runtime.internals import delete_path
from cardwatch_detector.runtime.object_stores import for_stores
from cardwatch_detector.runtime.session import DELTA, JAVA_OPTIONS, STEADY_JVM, build_session
from cardwatch_detector.runtime.settings import SparkSettings

CHANGED_BY: Final = "rebuild"
_RAW_POSITION: Final = ("raw_topic", "raw_partition", "raw_offset")
_RUN_COLUMNS: Final = ("enriched_at", "silver_partition", "silver_offset", "silver_broker_time")
# The tables that gold is computed from.
SOURCES: Final = tuple({table.name: table for table in (SILVER_TRANSACTIONS, *SOURCES_OF_MINUTES)}.values())
_MAX_ROWS_PER_FILE: Final = 5_000_000

# Few rows or very many: partitions are coalesced by size, also those that are written.
_SPARK_CONFIG: Final = {
    **DELTA,
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.shuffle.partitions": "64",
    "spark.databricks.delta.optimizeWrite.enabled": "true",
    # The number of partitions for reading Delta's log, which is short.
    "spark.databricks.delta.snapshotPartitions": "2",
    JAVA_OPTIONS: STEADY_JVM,
}


def run(*, tables_dir: str, to: str, staged: str = "", gold: bool = True, alerts: bool = True) -> None:
    """Create the tables, and print a line of JSON for each.

    Args:
        staged: path of the Delta table of enriched transactions, or empty: silver is that of ``tables_dir``.
        gold: whether to create the gold tables that are computed from silver.
        alerts: whether to create GOLD_ALERTS, empty: Spark does not fill it.

    Raises:
        CardwatchError: settings are wrong, a table is there already, or one that is needed is not.
    """
    tables_dir, to, staged = for_spark(tables_dir), for_spark(to), for_spark(staged)
    service, settings = load_settings(ServiceSettings), load_settings(LakehouseSettings)
    configure_logging("lakehouse", service.log_level, service.log_format)
    made = [
        *([SILVER_TRANSACTIONS] if staged else []),
        *(DERIVED_TABLES if gold else []),
        *([GOLD_ALERTS] if alerts else []),
    ]
    session = build_session(
        "cardwatch-rebuild",
        load_settings(SparkSettings),
        _SPARK_CONFIG | for_stores([tables_dir, to], settings.checkpoint_dir),
    )
    try:
        for table in made:
            if DeltaTable.isDeltaTable(session, table.path(to)):
                raise ConfigurationError(f"{table.path(to)} exists; expected a directory without this table")
        if staged:
            create_tables(session, to, [SILVER_TRANSACTIONS])
            known_path = SILVER_TRANSACTIONS.path(tables_dir)
            within_us = parse_duration(settings.duplicates_within)
            write_silver(session, to, staged=staged, known=known_path, within_us=within_us)
            _print_row_count(session, SILVER_TRANSACTIONS, to)
        if gold:
            _make_gold(session, settings, tables_dir=tables_dir, to=to)
        if alerts:
            create_tables(session, to, [GOLD_ALERTS])
    finally:
        session.stop()


def write_silver(session: SparkSession, to: str, *, staged: str, known: str, within_us: int) -> None:
    """Fill the silver table under ``to``, which must exist and be empty, with one row per transaction.

    Args:
        staged: path of the table of enriched transactions.
        known: path of the silver table as it is; it need not exist.
        within_us: as for ``silver_rows``.
    """
    known_rows: DataFrame | None = None
    if DeltaTable.isDeltaTable(session, known):
        known_rows = session.read.format("delta").load(known)
    rows = silver_rows(session.read.format("delta").load(staged), known_rows, within_us)
    (
        rows.write.format("delta")
        .mode("append")
        .option("maxRecordsPerFile", _MAX_ROWS_PER_FILE)
        .save(SILVER_TRANSACTIONS.path(to))
    )


def silver_rows(staged: DataFrame, known: DataFrame | None, within_us: int) -> DataFrame:
    """Columns of SILVER_TRANSACTIONS.

    Of several messages about one transaction the one counts that counted in the original run; where that is not known,
    the one that the broker appended first. As in the streaming query, messages with the same id are about one
    transaction if their event times are not far apart.

    Args:
        staged: fields of enriched transactions except ``enriched_at``, one row per message.
        known: the silver table as it is, where there is one.
        within_us: how far apart the event times may be, microseconds.
    """
    types = SILVER_TRANSACTIONS.columns
    if known is None:
        rows = staged.select("*", *(F.lit(None).cast(types[name]).alias(name) for name in _RUN_COLUMNS))
    else:
        rows = staged.join(known.select(*_RAW_POSITION, *_RUN_COLUMNS), list(_RAW_POSITION), "left")
    whole = F.struct(*rows.columns)
    candidate = F.struct(
        F.col("enriched_at").isNull().alias("unknown"),
        F.struct("raw_broker_time", *_RAW_POSITION).alias("arrived"),
        F.unix_micros("event_time").alias("us"),
        whole.alias("row"),
    )
    kept = F.aggregate(
        F.array_sort("candidates"),
        F.expr("array()").cast(_array_type(rows.select(candidate.alias("candidate")))),
        lambda kept, one: F.when(
            F.exists(kept, lambda other: F.abs(other["us"] - one["us"]) <= F.lit(within_us)), kept
        ).otherwise(F.array_append(kept, one)),
    )
    return (
        rows.groupBy("transaction_id")
        .agg(F.collect_list(candidate).alias("candidates"))
        .select(F.explode(kept).alias("kept"))
        .select("kept.row.*")
        .withColumn("event_date", F.to_date("event_time"))
        .select(*types)
    )


def _array_type(candidates: DataFrame) -> str:
    return f"array<{candidates.schema['candidate'].dataType.simpleString()}>"


def _make_gold(session: SparkSession, settings: LakehouseSettings, *, tables_dir: str, to: str) -> None:
    with _cloned_sources(session, tables_dir=tables_dir, to=to):
        create_tables(session, to, DERIVED_TABLES)
        make_profiles(session, to, parse_duration(settings.profiles_lateness), settings.profiles_days_kept)
        refresh_velocity(session, to)
        refresh_minutes(session, to)
        for table in DERIVED_TABLES:
            _print_row_count(session, table, to)


@contextmanager
def _cloned_sources(session: SparkSession, *, tables_dir: str, to: str) -> Iterator[None]:
    """For the length of a ``with``: shallow clones of the tables that gold is computed from, under ``to``."""
    cloned = []
    try:
        for table in SOURCES:
            here, there = table.path(to), table.path(tables_dir)
            if DeltaTable.isDeltaTable(session, here):
                continue
            cloned.append(here)
            if DeltaTable.isDeltaTable(session, there):
                session.sql(f"CREATE TABLE delta.`{here}` SHALLOW CLONE delta.`{there}`")
            create_tables(session, to, [table])  # or the columns that an older version did not have
        yield
    finally:
        for path in cloned:
            delete_path(session, path)


def make_profiles(session: SparkSession, tables_dir: str, lateness_us: int, days_kept: int) -> None:
    """Fill GOLD_CARD_DAYS and GOLD_CARD_PROFILE, which must exist and be empty, with all settled days of silver."""
    silver = read_table(session, tables_dir, SILVER_TRANSACTIONS)
    newest_event = F.max(F.unix_micros("event_time"))
    ((watermark,),) = silver.agg(F.to_date(F.timestamp_micros(newest_event - lateness_us))).collect()
    if watermark is None:
        return
    newest = newest_profile(watermark)
    settled = silver.where(F.col("event_date") <= last_day(newest)).select("event_date").distinct().collect()
    newly_settled = [row["event_date"] for row in settled]
    planned = plan_refresh((), newly_settled, computed=None, newest=newest, days_kept=days_kept)
    if planned.days:
        refresh_days(session, tables_dir, planned.days)
    if planned.valid_on:
        refresh = ProfileRefresh(planned.valid_on, kept_from(newest, days_kept), CHANGED_BY)
        refresh_profiles(session, tables_dir, refresh)


def _print_row_count(session: SparkSession, table: Table, to: str) -> None:
    rows = read_table(session, to, table).count()
    print(json.dumps({"table": table.name, "rows": rows}), flush=True)
