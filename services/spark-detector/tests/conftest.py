"""What the tests on a local Spark share."""

from collections.abc import Iterator

import pytest
from cardwatch_detector.runtime.session import DELTA, INTERPRETED, JAVA_OPTIONS, QUICK_JVM, build_session
from cardwatch_detector.runtime.settings import SparkSettings
from cardwatch_platform import PlatformSettings
from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.embedded import spark_classpath, spark_java_home
from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """A session as the lakehouse's. One Java process serves all that the tests start: hence Delta for each of them."""
    platform = PlatformSettings()
    settings = SparkSettings(
        master="local[1]",
        java_home=str(spark_java_home(platform)),
        classpath=spark_classpath(platform, load_lock()),
    )
    as_in_lakehouse = {
        **DELTA,
        **INTERPRETED,
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.shuffle.partitions": "1",
        JAVA_OPTIONS: QUICK_JVM,
    }
    session = build_session("tests", settings, as_in_lakehouse)
    yield session
    session.stop()
