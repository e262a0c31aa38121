"""The error of a micro-batch that could not be written."""

from pathlib import Path

import pytest
from cardwatch_detector.lakehouse.query import LakehouseQuery, Schedule
from cardwatch_detector.runtime.failures import innermost_cause
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

# As long as what Java prints of an error with two causes.
STACK = "\n".join(f"\tat org.apache.spark.Some$anonfun${number}.apply(Some.scala:{number})" for number in range(400))
ERROR = (
    f"An error occurred while calling o1.execute.\n: org.apache.spark.SparkException: Job aborted.\n{STACK}\n"
    f"Caused by: java.io.IOException: No space left on device\n{STACK}\n"
    f"Suppressed: java.lang.Exception: and this\n{STACK}"
)


def test_the_innermost_cause_is_reported() -> None:
    assert innermost_cause(ERROR) == "Caused by: java.io.IOException: No space left on device"
    assert innermost_cause(" it is so\n") == "it is so"
    assert len(innermost_cause("x" * 3000)) == 2000


def test_a_long_java_error_is_reported_in_one_sentence(spark: SparkSession, tmp_path: Path) -> None:
    def write(batch: DataFrame, batch_id: int) -> None:
        raise RuntimeError(ERROR)

    def source(session: SparkSession) -> DataFrame:
        return session.readStream.format("rate").load()

    query = LakehouseQuery(
        name="failing",
        checkpoint_dir=str(tmp_path),
        schedule=Schedule("1s"),
        source=source,
        make_writer=lambda: write,
    ).start(spark)
    with pytest.raises(StreamingQueryException, match="No space left on device"):
        query.awaitTermination(60)
