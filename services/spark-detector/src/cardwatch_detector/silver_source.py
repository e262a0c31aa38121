"""Reads a Cardwatch topic into Spark: Confluent's frame, Avro by the schema that wrote each message."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.wire import HEADER
from cardwatch_service.settings import ServiceSettings
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.avro.functions import from_avro

# The broker answers a fetch that finds nothing after this long; the default of 500 ms shows up as tasks of 500 ms.
_FETCH_WAIT_MS: Final = "20"


def kafka_options(settings: ServiceSettings) -> dict[str, str]:
    """Connection settings in the words of Spark's Kafka source."""
    options = {
        "kafka.bootstrap.servers": settings.kafka_bootstrap_servers,
        "kafka.security.protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_sasl_mechanism:
        module = "plain.PlainLoginModule" if settings.kafka_sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
        user = _quoted(settings.kafka_sasl_username)
        password = _quoted(settings.kafka_sasl_password.get_secret_value())
        options["kafka.sasl.mechanism"] = settings.kafka_sasl_mechanism
        options["kafka.sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{module} required username={user} password={password};"
        )
    if settings.kafka_ssl_ca_location:
        options["kafka.ssl.truststore.type"] = "PEM"
        options["kafka.ssl.truststore.location"] = settings.kafka_ssl_ca_location
    return options


def read_topic(
    session: SparkSession, settings: ServiceSettings, topics: Iterable[str], max_offsets_per_trigger: int
) -> DataFrame:
    """The messages of topics as a stream, from their beginning: Spark's Kafka columns.

    A message that is gone before it was read (retention) stops the query: silence would be a lost transaction.
    """
    return (
        session.readStream.format("kafka")
        .options(**kafka_options(settings))
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", "earliest")
        .option("failOnDataLoss", "true")
        .option("maxOffsetsPerTrigger", max_offsets_per_trigger)
        .option("kafka.fetch.max.wait.ms", _FETCH_WAIT_MS)
        .option("includeHeaders", "false")
        .load()
    )


def writer_schemas(registry: ConfluentRegistry, subject: str) -> dict[int, str]:
    """Every schema that messages of a subject may be written with: id → schema text.

    Raises:
        ConfigurationError: none is registered.
        RegistryUnavailableError: the registry does not answer.
    """
    schemas = registry.ids_of_all_versions(subject)
    if not schemas:
        raise ConfigurationError(f"no schema is registered as {subject}; run `cardwatch schemas apply` first")
    return schemas


def projection(schema_name: str, fields: Iterable[str]) -> str:
    """A reader's schema with only some of a schema's fields: the others are skipped while decoding."""
    schema = json.loads(schema_text(schema_name))
    wanted = set(fields)
    schema["fields"] = [field for field in schema["fields"] if field["name"] in wanted]
    missing = wanted - {field["name"] for field in schema["fields"]}
    if missing:
        raise ConfigurationError(f"{schema_name}.avsc has no field {', '.join(sorted(missing))}")
    return json.dumps(schema)


def schema_id(value: Column) -> Column:
    """The schema id in a message's frame, null where it has none."""
    header = F.hex(F.substring(value, 1, HEADER.size))
    return F.when(
        header.startswith("00") & (F.length(value) > HEADER.size),
        F.conv(F.substring(header, 3, 8), 16, 10).try_cast("int"),
    )


def payload(value: Column) -> Column:
    """The Avro bytes in a framed message."""
    return F.substring(value, HEADER.size + 1, 2**31 - 1)


def decode(value: Column, writers: Mapping[int, str], reader: str) -> Column:
    """The record in a framed message as a struct of the reader's schema; null where it cannot be decoded.

    A schema registered after the query started is unknown here, yet the message may be good: the query stops, and
    finds the schema when it starts again.
    """
    return decode_payload(schema_id(value), payload(value), writers, reader)


def decode_payload(which: Column, avro: Column, writers: Mapping[int, str], reader: str) -> Column:
    """``decode`` of a frame that is taken apart already: schema id and Avro bytes."""
    decoded: Column | None = None
    for number, text in writers.items():
        record = from_avro(avro, text, {"mode": "PERMISSIVE", "avroSchema": reader})
        decoded = F.when(which == number, record) if decoded is None else decoded.when(which == number, record)
    if decoded is None:
        raise ConfigurationError("at least one writer's schema is needed")
    unknown = F.concat(F.lit("schema id "), which.cast("string"), F.lit(" was registered after this query started"))
    return decoded.when(which.isNotNull(), F.raise_error(unknown))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
