"""Private parts of Spark and Py4J: the versions they were checked with, and that each class is looked up once."""

from importlib.metadata import version
from typing import Any

import pytest
from cardwatch_detector.runtime.internals import CHECKED_VERSIONS
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention


@pytest.mark.parametrize("library", CHECKED_VERSIONS)
def test_private_parts_were_checked_against_the_pinned_version(library: str) -> None:
    assert version(library) == CHECKED_VERSIONS[library], (
        f"{library} {version(library)} is installed, but cardwatch_detector/runtime/internals.py was checked against "
        f"{CHECKED_VERSIONS[library]}: run services/spark-detector/tests and tests/integration/test_detector.py and "
        "test_lakehouse.py with the new version, compare the private names that internals.py uses with its sources, "
        "then set CHECKED_VERSIONS"
    )


@pytest.fixture
def asked(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Java is asked for from here on."""
    jvm: Any = spark.sparkContext._jvm
    commands: list[str] = []
    send = type(jvm._gateway_client).send_command

    def recorded(client: Any, command: str, *more: Any, **options: Any) -> Any:
        commands.append(command)
        return send(client, command, *more, **options)

    monkeypatch.setattr(type(jvm._gateway_client), "send_command", recorded)
    return commands


@pytest.mark.integration
def test_a_class_is_looked_up_once(spark: SparkSession, asked: list[str]) -> None:
    def plan() -> Any:
        return spark.range(3).where(F.col("id") > F.lit(0)).select(F.col("id").alias("x"))

    plan()
    asked.clear()
    assert [row["x"] for row in plan().collect()] == [1, 2]
    looked_up = [command.split("\n")[2] for command in asked if command.startswith("r\nu\n")]
    assert {"functions", "PythonUtils"}.isdisjoint(looked_up)


@pytest.mark.integration
def test_static_fields_are_read_each_time(spark: SparkSession, asked: list[str]) -> None:
    jvm: Any = spark.sparkContext._jvm
    limits = jvm.Long  # of java.lang, which Py4J imports
    assert limits.MAX_VALUE == 2**63 - 1
    asked.clear()
    assert limits.MAX_VALUE == 2**63 - 1
    assert len(asked) == 1


@pytest.mark.integration
def test_a_name_that_java_does_not_have_is_a_package_or_an_error_as_before(spark: SparkSession) -> None:
    jvm: Any = spark.sparkContext._jvm
    with pytest.raises(TypeError, match="JavaPackage"):
        jvm.no_such_class("x")
