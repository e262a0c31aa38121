"""Spark's Kafka source and its connection settings."""

from collections.abc import Iterable
from typing import Final

from cardwatch_kafka.configuration import ISOLATION_LEVEL
from cardwatch_service.settings import ServiceSettings
from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.runtime.databricks import login_modules

# The broker answers a fetch that finds nothing after this long; the default of 500 ms shows up as tasks of 500 ms.
_FETCH_WAIT_MS: Final = "20"


def kafka_options(settings: ServiceSettings) -> dict[str, str]:
    """The service's Kafka connection as options of Spark's Kafka source and sink."""
    options = {
        "kafka.bootstrap.servers": settings.kafka_bootstrap_servers,
        "kafka.security.protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_sasl_mechanism:
        module = "plain.PlainLoginModule" if settings.kafka_sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
        user = _quoted(settings.kafka_sasl_username)
        password = _quoted(settings.kafka_sasl_password.get_secret_value())
        options["kafka.sasl.mechanism"] = settings.kafka_sasl_mechanism
        options["kafka.sasl.jaas.config"] = f"{login_modules()}.{module} required username={user} password={password};"
    if settings.kafka_ssl_ca_location:
        options["kafka.ssl.truststore.type"] = "PEM"
        options["kafka.ssl.truststore.location"] = settings.kafka_ssl_ca_location
    return options


def read_topic(
    session: SparkSession,
    settings: ServiceSettings,
    topics: Iterable[str],
    max_offsets_per_trigger: int,
    *,
    headers: bool = False,
) -> DataFrame:
    """The messages of topics as a stream from their beginning, with Spark's Kafka columns.

    A message that retention deleted before it was read stops the query: skipping it would silently lose a transaction.
    """
    return (
        session.readStream.format("kafka")
        .options(**kafka_options(settings))
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", "earliest")
        .option("failOnDataLoss", "true")
        # Only committed messages, up to the last stable offset. Offsets without a message (of aborted transactions, and
        # the markers that end one) are skipped and are no data loss.
        .option("kafka.isolation.level", ISOLATION_LEVEL)
        .option("maxOffsetsPerTrigger", max_offsets_per_trigger)
        .option("kafka.fetch.max.wait.ms", _FETCH_WAIT_MS)
        .option("includeHeaders", str(headers).lower())
        .load()
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
