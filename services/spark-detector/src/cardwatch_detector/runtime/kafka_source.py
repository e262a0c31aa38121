"""Spark's Kafka source and its connection settings."""

from collections.abc import Iterable
from typing import Final

from cardwatch_kafka.configuration import ISOLATION_LEVEL
from cardwatch_kafka.java_clients import java_config
from cardwatch_service.settings import ServiceSettings
from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.runtime.databricks import login_modules

# The broker answers a fetch that finds nothing after this long; the default of 500 ms shows up as tasks of 500 ms.
_FETCH_WAIT_MS: Final = "20"


def kafka_options(settings: ServiceSettings) -> dict[str, str]:
    """The service's Kafka connection as options of Spark's Kafka source and sink."""
    return {f"kafka.{name}": value for name, value in java_config(settings, login_modules()).items()}


def read_topic(
    session: SparkSession,
    settings: ServiceSettings,
    topics: Iterable[str],
    max_offsets_per_trigger: int,
    *,
    headers: bool = False,
    starting_offsets: str = "earliest",
) -> DataFrame:
    """The messages of topics as a stream, with Spark's Kafka columns.

    A message that retention deleted before it was read stops the query, unless CARDWATCH_ON_LOST_OFFSETS says
    otherwise: skipping it would silently lose a transaction.

    Args:
        starting_offsets: where a query without a checkpoint begins: a word or JSON of Spark's Kafka source.
    """
    return (
        session.readStream.format("kafka")
        .options(**kafka_options(settings))
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", starting_offsets)
        .option("failOnDataLoss", str(settings.on_lost_offsets == "stop").lower())
        # Only committed messages, up to the last stable offset. Offsets without a message (of aborted transactions, and
        # the markers that end one) are skipped and are no data loss.
        .option("kafka.isolation.level", ISOLATION_LEVEL)
        .option("maxOffsetsPerTrigger", max_offsets_per_trigger)
        .option("kafka.fetch.max.wait.ms", _FETCH_WAIT_MS)
        .option("includeHeaders", str(headers).lower())
        .load()
    )
