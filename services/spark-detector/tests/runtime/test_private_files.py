"""What Spark writes is private, though Hadoop's file systems give files a mode of their own."""

from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from support.file_modes import open_files


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
    # The tests run with the umask of a command (conftest.py).
    for pattern in ("table/*.parquet", "table/_delta_log/*.json", "checkpoint/offsets/0", "checkpoint/state/*/*/*"):
        assert list(tmp_path.glob(pattern)), pattern
    assert open_files(tmp_path) == []
