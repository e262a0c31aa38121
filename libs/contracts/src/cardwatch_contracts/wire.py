"""Confluent's wire format: ``0x00``, schema id (4 bytes, big endian), Avro binary.

Source of the format: Confluent's documentation, "Wire format" of the Schema Registry serializers.
"""

import io
import struct
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, cast

import fastavro
from fastavro.read import SchemaResolutionError

from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_contracts.subject_schemas import OnOutage, SubjectSchemas
from cardwatch_contracts.topics import default_subject

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
    """Decodes messages that any version of a subject wrote, into the newest version's fields.

    Time and memory are proportional to the message's size: ``subject_schemas`` lets no other schema through.
    """

    def __init__(
        self,
        schema_name: str,
        registry: Registry,
        subject: str | None = None,
        *,
        on_outage: OnOutage = lambda waiting: None,
    ) -> None:
        """
        Args:
            subject: ``Topic.subject`` of the topic; by default that of the schema's topic without a prefix.
            on_outage: called with True while messages wait for the registry, and with False at the end of that.
        """
        self._reader = parsed_schema(schema_name)
        self._schemas = SubjectSchemas(
            schema_name, registry, default_subject(schema_name) if subject is None else subject, on_outage=on_outage
        )

    def look_up(
        self, values: Iterable[bytes | None], *, suspect_outage: bool = True, written_before: float = float("inf")
    ) -> None:
        """Ask for the schema ids of a batch at once, before its messages are decoded one by one.

        Without it each unknown id costs a request, and an outage that shows in the number of unknown ids is not seen.

        Args:
            suspect_outage: as for ``SubjectSchemas.look_up``.
            written_before: as for ``SubjectSchemas.look_up``, by ``time.monotonic``.

        Raises:
            RegistryUnavailableError: the registry has an outage: repeat the call with the same batch.
        """
        ids = Counter(_schema_id(value) for value in values if value is not None and _is_framed(value))
        self._schemas.look_up(ids, suspect_outage=suspect_outage, written_before=written_before)

    def __call__(self, value: bytes | None) -> Record:
        """Decode one message.

        Raises:
            RefusedError: the message is bad, with its reason code.
            RegistryUnavailableError: its schema cannot be looked up now: try again.
        """
        if not value:
            raise RefusedError(Reason.EMPTY_MESSAGE, "the message has no value; expected an Avro record")
        if not _is_framed(value):
            raise RefusedError(
                Reason.NOT_CONFLUENT_FRAMED,
                f"expected 0x00, a 4-byte schema id and Avro, "
                f"got a value of {len(value)} bytes that starts with 0x{value[:1].hex()}",
            )
        schema_id = _schema_id(value)
        writer = self._schemas.parsed_writer(schema_id)
        source = io.BytesIO(value) if schema_id in self._schemas.same_as_own else _StrictBytes(value)
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
        if source.tell() < len(value):
            raise RefusedError(
                Reason.UNDECODABLE_AVRO, f"there are bytes after the record that schema id {schema_id} describes"
            )
        return record

    def writer_schema(self, value: bytes) -> Any:
        """The parsed schema of a value that was decoded: with the fields that this program does not know."""
        return self._schemas.parsed_writer(_schema_id(value))


class _StrictBytes(io.BytesIO):
    """Bytes that raise an error where fewer are left than are read.

    fastavro does not check that when it skips a field that the reader does not have: an array of booleans with a count
    of 2^63 would be skipped for ever. Where nothing is skipped it does, and the faster class is used.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        if size is None or len(found) != size:
            raise EOFError(f"{size} bytes expected")
        return found


def _is_framed(value: bytes) -> bool:
    return len(value) >= HEADER.size and value[0] == MAGIC_BYTE


def _schema_id(value: bytes) -> int:
    return int(HEADER.unpack_from(value)[1])


def _describe(error: Exception) -> str:
    """What is wrong with the bytes. The error of text that is not UTF-8 holds all of it: that is left out."""
    if isinstance(error, UnicodeError):
        return f"a text is not UTF-8 ({type(error).__name__})"
    return f"{type(error).__name__}({str(error)[:_MAX_ERROR_LENGTH]!r})"
