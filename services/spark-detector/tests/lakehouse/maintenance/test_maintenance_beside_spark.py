"""Maintenance and erasure by delta-rs while Spark writes and follows the same tables."""

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cardwatch_detector.lakehouse.io.create import create_tables
from cardwatch_detector.lakehouse.io.merge import retry_command_on_conflict
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.maintenance import erasure
from cardwatch_lakehouse.maintenance.files import measure
from cardwatch_lakehouse.maintenance.optimize import optimize
from cardwatch_lakehouse.tables import BRONZE_LATE, GOLD_ALERTS, SILVER_TRANSACTIONS, Table
from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from support.delta_tables import CARD, OTHER, files_containing, silver_row, write_rows


def append(spark: SparkSession, lake: Path, table: Table, **row: Any) -> None:
    columns = [F.lit(row.get(name)).cast(kind).alias(name) for name, kind in table.columns.items()]
    spark.range(1).select(*columns).write.format("delta").mode("append").save(table.path(str(lake)))


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.faults
def test_a_merge_is_repeated_when_its_files_were_joined_meanwhile(spark: SparkSession, tmp_path: Path) -> None:
    create_tables(spark, str(tmp_path), [GOLD_ALERTS])
    for number in range(4):
        append(spark, tmp_path, GOLD_ALERTS, alert_id=str(number), status="raised")
    begun, finished, attempts = tmp_path / "begun", tmp_path / "finished", 0
    catalog = Catalog(str(tmp_path))

    def join_files() -> None:
        wait_for(begun)
        joined.extend(optimize(catalog, GOLD_ALERTS.name, timedelta(0)))
        finished.touch()

    joined: list[Any] = []
    other = threading.Thread(target=join_files)
    other.start()

    @F.udf("STRING")
    def slowly(text: str) -> str:
        # In the middle of the merge, in Spark's worker.
        begun.touch()
        for _ in range(1200):
            if finished.exists():
                break
            time.sleep(0.05)
        return text

    @retry_command_on_conflict
    def merge() -> None:
        nonlocal attempts
        attempts += 1
        status = slowly(F.lit("retracted")) if attempts == 1 else F.lit("retracted")
        new = spark.range(3).select(F.col("id").cast("string").alias("alert_id"), status.alias("status"))
        table = DeltaTable.forPath(spark, GOLD_ALERTS.path(str(tmp_path)))
        change = {"status": "new.status"}
        table.alias("known").merge(new.alias("new"), "known.alert_id = new.alert_id").whenMatchedUpdate(
            set=change
        ).execute()

    merge()
    other.join()
    assert attempts == 2, "the first met the files joined"
    assert [one.after for one in joined] == [1]
    found = spark.read.format("delta").load(GOLD_ALERTS.path(str(tmp_path)))
    assert {row["status"]: row["count"] for row in found.groupBy("status").count().collect()} == {
        "raised": 1,
        "retracted": 3,
    }


@pytest.mark.faults
def test_a_stream_over_silver_continues_after_a_card_is_erased(spark: SparkSession, tmp_path: Path) -> None:
    create_tables(spark, str(tmp_path), [SILVER_TRANSACTIONS])
    path, seen = SILVER_TRANSACTIONS.path(str(tmp_path)), []
    # More than ten commits: Spark writes checkpoints, and checksums that hold the files' bounds.
    for number in range(12):
        append(spark, tmp_path, SILVER_TRANSACTIONS, **silver_row(number, CARD if number % 3 == 0 else OTHER))
    query = (
        spark.readStream.format("delta")
        .option("skipChangeCommits", "true")
        .load(path)
        .writeStream.option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(processingTime="100 milliseconds")
        .foreachBatch(lambda batch, _: seen.extend(row["transaction_id"] for row in batch.collect()))
        .start()
    )
    try:
        query.processAllAvailable()
        catalog, done = Catalog(str(tmp_path)), erasure.Erasure()
        erasure.delete_rows(catalog, CARD, done)
        query.processAllAvailable()
        list(optimize(catalog, SILVER_TRANSACTIONS.name))
        erasure.purge(catalog, CARD, done)
        append(spark, tmp_path, SILVER_TRANSACTIONS, **silver_row(12, OTHER))
        query.processAllAvailable()
        assert query.exception() is None
    finally:
        query.stop()
    assert sorted(seen) == sorted({f"tx-{number:04d}" for number in range(13)})
    assert done.rows == {SILVER_TRANSACTIONS.name: 4}
    assert files_containing(Path(path), [CARD.encode()]) == []
    assert measure(catalog.open(SILVER_TRANSACTIONS.name)).files <= 9
    # From its log alone, as another Spark would see it, and back to before the card was forgotten in the history.
    spark.sql("CLEAR CACHE")
    table = DeltaTable.forPath(spark, path)
    assert table.toDF().count() == 9
    assert table.history().count() >= 14


@pytest.mark.faults
def test_small_files_are_joined_once_there_are_many_also_by_a_process_that_found_some(
    spark: SparkSession, tmp_path: Path
) -> None:
    create_tables(spark, str(tmp_path), [BRONZE_LATE])
    for _ in range(3):  # by another process: Spark's Delta has not counted them
        write_rows(tmp_path, BRONZE_LATE, {"transaction_id": "found"})
    spark.conf.set("spark.databricks.delta.autoCompact.minNumFiles", "4")  # instead of 50
    try:
        live = []
        for number in range(6):
            append(spark, tmp_path, BRONZE_LATE, transaction_id=str(number))
            live.append(measure(Catalog(str(tmp_path)).open(BRONZE_LATE.name)).files)
    finally:
        spark.conf.unset("spark.databricks.delta.autoCompact.minNumFiles")
    assert live == [4, 5, 6, 1, 2, 3]
