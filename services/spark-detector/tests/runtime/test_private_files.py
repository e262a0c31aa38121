"""What Spark writes is private, though Hadoop's file systems give files a mode of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cardwatch_units.file_modes import private_files
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from support.file_modes import open_files


@pytest.fixture(scope="module", autouse=True)
def _as_a_command_runs() -> Iterator[None]:
    # Before the session starts: it passes the process's umask on to Hadoop.
    with private_files({}):
        yield


def test_tables_and_checkpoints_are_for_their_owner_only(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(10).write.format("delta").save(str(tmp_path / "table"))
    numbers = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 5).load()
    query = (
        numbers.groupBy(F.col("value") % 3)
        .count()
        .writeStream.outputMode("update")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .foreachBatch(lambda batch, _: batch.count())
        .start()
    )
    try:
        while not list((tmp_path / "checkpoint/commits").glob("1")):
            query.exception()
            query.awaitTermination(0.2)
    finally:
        query.stop()
    for pattern in ("table/*.parquet", "table/_delta_log/*.json", "checkpoint/offsets/0", "checkpoint/state/*/*/*"):
        assert list(tmp_path.glob(pattern)), pattern
    assert open_files(tmp_path) == []
