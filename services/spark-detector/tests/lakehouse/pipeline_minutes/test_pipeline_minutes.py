"""gold.pipeline_minutes equals DuckDB's aggregation of the tables, while they grow and after deletions."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_detector.lakehouse.io.create import create_tables
from cardwatch_detector.lakehouse.metrics import ROWS_WRITTEN_TOTAL, LakehouseMetrics
from cardwatch_detector.lakehouse.pipeline_minutes.query import minutes_query
from cardwatch_detector.lakehouse.pipeline_minutes.refresh import refresh_minutes
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime.session_settings import MANY_ROWS, BatchSize
from cardwatch_lakehouse.tables import (
    BRONZE_ALERT_EVENTS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_TRANSACTIONS,
    GOLD_PIPELINE_MINUTES,
    SILVER_TRANSACTIONS,
    Table,
)
from cardwatch_service.metrics import Metrics
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession
from support.recomputed.pipeline_minutes import read_minutes, recompute_minutes

START = datetime(2026, 6, 10, 23, 50, tzinfo=UTC)
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


class Lake:
    """Tables that a test fills in place of the queries."""

    def __init__(self, spark: SparkSession, directory: Path) -> None:
        self.directory = directory
        self.rng = random.Random(3)
        self._tables = (BRONZE_TRANSACTIONS, SILVER_TRANSACTIONS, BRONZE_ALERT_EVENTS, BRONZE_LATE, BRONZE_QUARANTINE)
        create_tables(spark, str(directory), [*self._tables, GOLD_PIPELINE_MINUTES])

    def table(self, table: Table) -> DeltaTable:
        return DeltaTable(table.path(str(self.directory)))

    def add(self, table: Table, *rows: dict[str, Any]) -> None:
        there = self.table(table)
        schema = pa.schema(there.schema().to_arrow())
        write_deltalake(there, pa.Table.from_pylist(list(rows), schema=schema), mode="append")

    def fill(self, from_minute: float, to_minute: float, rows: int = 200) -> None:
        """What happens in some minutes after START; the lakehouse and dead letters come some seconds later."""

        def at() -> datetime:
            return START + timedelta(minutes=self.rng.uniform(from_minute, to_minute))

        def later(moment: datetime) -> datetime:
            return moment + timedelta(milliseconds=self.rng.choice([0, 3, 3, 250.7, 4000, 70_000, -2]))

        times = [at() for _ in range(rows)]
        ingested = [later(moment) for moment in times]
        self.add(
            BRONZE_TRANSACTIONS,
            *(
                {"broker_time": moment, "ingested_at": taken, "ingest_date": taken.date()}
                for moment, taken in zip(times, ingested, strict=True)
            ),
        )
        self.add(
            SILVER_TRANSACTIONS,
            *({"raw_broker_time": m, "silver_broker_time": later(m), "event_date": m.date()} for m in times[1:]),
            # A wrong clock.
            {"raw_broker_time": LONG_AGO, "silver_broker_time": times[0], "event_date": times[0].date()},
            {"raw_broker_time": None, "silver_broker_time": times[0], "event_date": times[0].date()},
        )
        statuses = ["raised"] * 3 + ["suppressed", "retracted"]
        self.add(
            BRONZE_ALERT_EVENTS,
            *(
                {"status": self.rng.choice(statuses), "raw_broker_time": m, "broker_time": later(m)}
                for m in times[: rows // 4]
            ),
        )
        self.add(BRONZE_LATE, *({"broker_time": moment} for moment in times[:5]))
        self.add(
            BRONZE_QUARANTINE,
            {"service": "enricher", "dead_letter_broker_time": at(), "quarantined_at": at()},
            {"service": "enricher", "dead_letter_broker_time": at(), "quarantined_at": at()},
            {"service": "notifier", "dead_letter_broker_time": at(), "quarantined_at": at()},
            {"service": "lakehouse", "quarantined_at": at()},
            {"service": None, "quarantined_at": at()},
        )


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, tmp_path / "tables")


@pytest.fixture
def catch_up(spark: SparkSession, lake: Lake, tmp_path: Path) -> Callable[..., int]:
    """Runs the query over what is new, with settings for many rows from ``many_rows`` on; returns the rows written."""
    settings = LakehouseSettings(
        tables_dir=str(lake.directory), checkpoint_dir=str(tmp_path / "checkpoints"), minutes_trigger="1s"
    )

    def run(many_rows: int = MANY_ROWS) -> int:
        metrics = Metrics()
        counter = LakehouseMetrics(metrics)
        query = minutes_query(settings, counter, lambda: BatchSize(many_rows=many_rows)).start(spark)
        query.processAllAvailable()
        query.stop()
        return int(metrics.registry.get_sample_value(ROWS_WRITTEN_TOTAL, {"table": GOLD_PIPELINE_MINUTES.name}) or 0)

    return run


@pytest.mark.faults
def test_settings_for_many_rows_change_no_figure(lake: Lake, catch_up: Callable[..., int]) -> None:
    lake.fill(0, 2)
    assert catch_up(many_rows=0) == len(read_minutes(lake.directory)) > 8
    assert read_minutes(lake.directory) == recompute_minutes(lake.directory)


@pytest.mark.faults
def test_minutes_are_as_defined_while_the_tables_grow(lake: Lake, catch_up: Callable[..., int], tmp_path: Path) -> None:
    lake.fill(0, 2)
    lake.fill(300, 301)
    assert catch_up() == len(read_minutes(lake.directory)) > 8
    assert read_minutes(lake.directory) == recompute_minutes(lake.directory)
    before = {row["minute"]: row for row in read_minutes(lake.directory)}
    # Old minutes and new ones, over midnight.
    lake.fill(1, 1.5, 20)
    lake.fill(8, 12)
    lake.add(BRONZE_LATE, {"broker_time": START + timedelta(minutes=7)})
    assert catch_up() > 0
    after = read_minutes(lake.directory)
    assert after == recompute_minutes(lake.directory)
    assert len({row["minute_date"] for row in after}) == 2
    assert before.keys() < {row["minute"] for row in after}
    assert {"notifier", "producer", "enricher", "detector", "lakehouse"} == {row["service"] for row in after}
    idle = next(row for row in after if row["service"] == "enricher" and row["minute"].minute == 57)
    assert (idle["rows"], idle["refused"], idle["latency_p50_ms"]) == (0, 0, None)
    # Killed between the table's commit and the checkpoint's: the micro-batch comes again.
    version = lake.table(GOLD_PIPELINE_MINUTES).version()
    for commit in (tmp_path / "checkpoints" / GOLD_PIPELINE_MINUTES.name / "commits").glob("*1*"):
        commit.unlink()
    assert catch_up() == 0
    assert lake.table(GOLD_PIPELINE_MINUTES).version() == version


@pytest.mark.faults
def test_deletions_and_compaction_do_not_stop_the_query_and_a_refresh_applies_them(
    spark: SparkSession, lake: Lake, catch_up: Callable[..., int]
) -> None:
    lake.fill(0, 2)
    lake.fill(2, 4)
    catch_up()
    lake.table(SILVER_TRANSACTIONS).optimize.compact()
    early = (START + timedelta(minutes=1)).isoformat()
    lake.table(BRONZE_LATE).delete(f"broker_time < '{early}'")
    lake.table(SILVER_TRANSACTIONS).delete(f"silver_broker_time < '{early}'")
    lake.fill(4, 5)
    catch_up()
    kept, defined = read_minutes(lake.directory), recompute_minutes(lake.directory)
    assert kept != defined  # a deletion triggers no micro-batch
    moved = START.replace(minute=54)
    assert [row for row in kept if row["minute"] >= moved] == [row for row in defined if row["minute"] >= moved]

    earlier = {"minute": datetime(2026, 6, 1, tzinfo=UTC), "service": "producer", "rows": 7}
    lake.add(GOLD_PIPELINE_MINUTES, earlier | {"minute_date": earlier["minute"].date()})
    # Without the settings for many rows, under which Spark plans again and again while it runs.
    refresh = partial(refresh_minutes, spark, str(lake.directory), settings={})
    # All days that the sources hold anything of, and no other.
    assert refresh() == len(defined)
    first, *others = read_minutes(lake.directory)
    assert (first["rows"], others) == (7, defined)
    assert refresh([START.date()]) == len(defined)
    assert read_minutes(lake.directory)[1:] == defined
