"""Confluent's wire format: ``0x00``, schema id (4 bytes, big endian), Avro binary.

Source of the format: Confluent's documentation, "Wire format" of the Schema Registry serializers.
"""

import io
import struct
from typing import Any, Final, cast

import fastavro
from fastavro.read import SchemaResolutionError

from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.schemas import parse, parsed_schema

MAGIC_BYTE: Final = 0
_MAX_ERROR_LENGTH: Final = 200
HEADER: Final = struct.Struct(">bI")

Record = dict[str, Any]


class Encoder:
    """Encodes records of one schema."""

    def __init__(self, schema_name: str, schema_id: int) -> None:
        self._schema = parsed_schema(schema_name)
        self._header = HEADER.pack(MAGIC_BYTE, schema_id)

    def __call__(self, record: Record) -> bytes:
        """Frame and encode one record.

        Raises:
            ValueError, TypeError: the record does not fit the schema.
        """
        out = io.BytesIO()
        out.write(self._header)
        fastavro.schemaless_writer(out, self._schema, record)
        return out.getvalue()


class Decoder:
    """Decodes messages that any registered version of a schema wrote, into the newest version's fields."""

    def __init__(self, schema_name: str, registry: Registry) -> None:
        self._reader = parsed_schema(schema_name)
        self._registry = registry
        self._writers: dict[int, Any] = {}

    def __call__(self, value: bytes | None) -> Record:
        """Decode one message.

        Raises:
            RefusedError: the message is bad, with its reason code.
            RegistryUnavailableError: its schema cannot be looked up now: try again.
        """
        if not value:
            raise RefusedError(Reason.EMPTY_MESSAGE, "the message has no value; expected an Avro record")
        if len(value) < HEADER.size or value[0] != MAGIC_BYTE:
            raise RefusedError(
                Reason.NOT_CONFLUENT_FRAMED,
                f"expected 0x00, a 4-byte schema id and Avro, "
                f"got a value of {len(value)} bytes that starts with 0x{value[:1].hex()}",
            )
        (_, schema_id) = HEADER.unpack_from(value)
        writer = self._writer(schema_id)
        source = io.BytesIO(value)
        source.seek(HEADER.size)
        try:
            record = cast(Record, fastavro.schemaless_reader(source, writer, self._reader))
        except SchemaResolutionError as error:
            raise RefusedError(
                Reason.WRONG_SCHEMA, f"schema id {schema_id} is not a version of {self._reader['name']}: {error}"
            ) from error
        except Exception as error:  # a codec may raise anything on invalid bytes
            raise RefusedError(
                Reason.UNDECODABLE_AVRO,
                f"the bytes after schema id {schema_id} are not a record of that schema: {_describe(error)}",
            ) from error
        if source.read(1):
            raise RefusedError(
                Reason.UNDECODABLE_AVRO, f"there are bytes after the record that schema id {schema_id} describes"
            )
        return record

    def writer_schema(self, value: bytes) -> Any:
        """The parsed schema that wrote a framed value.

        Raises:
            RefusedError, RegistryUnavailableError: as for decoding it.
        """
        return self._writer(HEADER.unpack_from(value)[1])

    def _writer(self, schema_id: int) -> Any:
        writer = self._writers.get(schema_id)
        if writer is None:
            text = self._registry.schema_by_id(schema_id)
            if text is None:
                raise RefusedError(
                    Reason.UNKNOWN_SCHEMA_ID, f"the schema registry has no schema id {schema_id}; register it first"
                )
            writer = parse(text)
            if writer.get("name") != self._reader["name"]:
                raise RefusedError(
                    Reason.WRONG_SCHEMA,
                    f"expected a version of {self._reader['name']}, got schema id {schema_id} of {writer.get('name')}",
                )
            self._writers[schema_id] = writer
        return writer


def _describe(error: Exception) -> str:
    """What is wrong with the bytes. The error of text that is not UTF-8 holds all of it: that is left out."""
    if isinstance(error, UnicodeError):
        return f"a text is not UTF-8 ({type(error).__name__})"
    return f"{type(error).__name__}({str(error)[:_MAX_ERROR_LENGTH]!r})"
