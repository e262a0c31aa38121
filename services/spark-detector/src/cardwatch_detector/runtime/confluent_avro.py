"""Decodes Kafka messages in Confluent's frame (magic byte, schema id, Avro) in Spark, each by its writer's schema."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.registry import ConfluentRegistry, Registry
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.wire import HEADER
from cardwatch_service.logs import get_logger
from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.avro.functions import from_avro

_log = get_logger(__name__)

# The error with which ``decode_avro`` fails a query.
_UNKNOWN_ID: Final = re.compile(r"schema id (\d+) of (\w+) is not known to this query")


def writer_schemas(registry: ConfluentRegistry, subject: str) -> dict[int, str]:
    """The schemas of all versions of a subject, by id.

    Raises:
        ConfigurationError: none is registered.
        RegistryUnavailableError: the registry does not answer.
    """
    schemas = registry.ids_of_all_versions(subject)
    if not schemas:
        raise ConfigurationError(f"no schema is registered as {subject}; run `cardwatch schemas apply` first")
    return schemas


def projection(schema_name: str, fields: Iterable[str]) -> str:
    """A reader's schema with only some of a schema's fields: decoding skips the others.

    Raises:
        ConfigurationError: the schema has no such field.
    """
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
    """Schema ids in messages that the registry does not know as versions of the expected schema.

    A schema that was registered after a query started is unknown to the query, yet its messages may be valid: the query
        fails on such a message and is restarted with the registry's current schemas. An id that is still unknown then
        is kept here, and its
    messages are skipped.
    """

    def __init__(self, schema_name: str) -> None:
        """``schema_name`` is that of the messages: a file of ``schemas/`` without ``.avsc``."""
        self.schema_name: Final = schema_name
        self._ids: set[int] = set()

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids in ascending order."""
        return tuple(sorted(self._ids))

    def learn(self, failure: str, registry: Registry) -> None:
        """Look up the ids that a query failed on; keep those that nobody has registered.

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


def decode_avro(
    value: Column, writers: Mapping[int, str], reader: str, unknown: UnknownSchemaIds | None = None
) -> Column:
    """The record of a framed message as a struct of the reader's schema; null where it cannot be decoded.

    Args:
        value: the framed message.
        writers: the text of each schema that it may have been written with, by schema id.
        reader: text of the reader's schema.
        unknown: ids whose messages become null; any other unknown id fails the query.
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
