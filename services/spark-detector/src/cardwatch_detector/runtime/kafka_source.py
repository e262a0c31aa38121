"""Reads a Cardwatch topic into Spark: Confluent's frame, Avro by the schema that wrote each message."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.registry import ConfluentRegistry, Registry
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.wire import HEADER
from cardwatch_service.logs import get
from cardwatch_service.settings import ServiceSettings
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.avro.functions import from_avro

from cardwatch_detector.runtime.databricks import login_modules

_log = get(__name__)

# What `decode` says in failing the query.
_UNKNOWN_ID: Final = re.compile(r"schema id (\d+) of (\w+) is not known to this query")

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
        .option("includeHeaders", str(headers).lower())
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


def is_version_of(text: str, schema_name: str) -> bool:
    """Whether a schema's text is some version of ``schemas/<schema_name>.avsc``."""
    return bool(json.loads(text).get("name") == json.loads(schema_text(schema_name))["name"])


class UnknownSchemaIds:
    """Schema ids in messages that the registry, asked after the message came, did not know as versions of the schema.

    A schema registered after a query started is unknown to the query, yet its messages may be good: the query stops,
    and starts again with what the registry says now. What is still unknown then is no schema at all.
    """

    def __init__(self, schema_name: str) -> None:
        """``schema_name``: of what the messages should be, a file of ``schemas/`` without ``.avsc``."""
        self.schema_name: Final = schema_name
        self._ids: set[int] = set()

    @property
    def ids(self) -> tuple[int, ...]:
        """In order."""
        return tuple(sorted(self._ids))

    def learn(self, failure: str, registry: Registry) -> None:
        """Find out whether a query failed because of an id that nobody has registered.

        Raises:
            RegistryUnavailableError: the registry does not answer.
        """
        found = {int(number) for number, name in _UNKNOWN_ID.findall(failure) if name == self.schema_name}
        for number in found:
            text = registry.schema_by_id(number)
            if text is None or not is_version_of(text, self.schema_name):
                self._ids.add(number)
                _log.error(
                    "messages with this schema id are not evaluated: the registry does not know it as a version of "
                    f"{self.schema_name}; the lakehouse keeps them in its quarantine",
                    schema_id=number,
                )


def decode(value: Column, writers: Mapping[int, str], reader: str, unknown: UnknownSchemaIds | None = None) -> Column:
    """The record in a framed message as a struct of the reader's schema; null where it cannot be decoded.

    Args:
        value: the framed message.
        writers: schema id → text of each schema that it may have been written with.
        reader: text of the reader's schema.
        unknown: ids that are known to be none; any other fails the query (UnknownSchemaIds).
    """
    which, avro = schema_id(value), payload(value)
    decoded: Column | None = None
    for number, text in writers.items():
        record = from_avro(avro, text, {"mode": "PERMISSIVE", "avroSchema": reader})
        decoded = F.when(which == number, record) if decoded is None else decoded.when(which == number, record)
    if decoded is None:
        raise ConfigurationError("at least one writer's schema is needed")
    if unknown is not None and unknown.ids:
        decoded = decoded.when(which.isin(list(unknown.ids)), F.lit(None))
    name = unknown.schema_name if unknown is not None else "any schema"
    failure = F.concat(F.lit("schema id "), which.cast("string"), F.lit(f" of {name} is not known to this query"))
    return decoded.when(which.isNotNull(), F.raise_error(failure))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
