"""What a Kafka message says about the card that it is of: Avro by its writer's schema, JSON, or else its bytes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cardwatch_contracts.errors import IncompatibleSchemaError, RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.wire import MAGIC_BYTE, Decoder, Record

_SCHEMAS: Final = ("transaction", "enriched_transaction")
_TOKEN_FIELD: Final = "card_token"  # noqa: S105 - a field's name
_ID_FIELD: Final = "transaction_id"

# The values of the field in a text that is not well-formed JSON.
_JSON_TOKENS: Final = re.compile(rf'"{_TOKEN_FIELD}"\s*:\s*"([^"\\]+)"')
# Avro writes a string's length (32, as a zigzag number: @) before it.
_AVRO_TOKENS: Final = re.compile(r"@([0-9a-f]{32})")
# The id as a member of the outermost object, after members that are no objects or arrays themselves.
_JSON_ID: Final = re.compile(
    rf'\s*\{{(?:\s*"[^"\\]*"\s*:\s*(?:"[^"\\]*"|[-+.0-9A-Za-z]+)\s*,)*\s*"{_ID_FIELD}"\s*:\s*("(?:[^"\\]|\\.)*")'
)


@dataclass(frozen=True, slots=True)
class MessageContent:
    """What a message says.

    Attributes:
        tokens: the card tokens that it is of: of the outermost object, or of the objects inside if that has none.
        transaction_id: of the outermost object; None if there is none, or more than one.
        texts: all decoded texts, names of JSON members included.
        undecoded: the message's bytes as text if it could not be decoded, None otherwise.
    """

    tokens: frozenset[str] = frozenset()
    transaction_id: str | None = None
    texts: frozenset[str] = frozenset()
    undecoded: str | None = None

    def names(self, token: str) -> bool:
        """Whether a text is the token; of undecoded bytes, whether the token is in them and no part of a longer one."""
        if self.undecoded is None:
            return token in self.texts
        return bool(re.search(rf"(?<![0-9A-Fa-f]){re.escape(token)}(?![0-9A-Fa-f])", self.undecoded)) or (
            f"@{token}" in self.undecoded
        )


class MessageReader:
    """Decodes messages by the schemas of a registry, or without one by the schemas of this version of Cardwatch."""

    def __init__(self, registry: Registry | None = None) -> None:
        known = None if registry is None else _RememberingRegistry(registry)
        self._registered: Final = [] if known is None else [Decoder(name, known) for name in _SCHEMAS]
        self._bundled: Final = [Decoder(name, _BundledSchema(name)) for name in _SCHEMAS]

    def __call__(self, value: bytes | None) -> MessageContent:
        """The content of a message; of a message without a value: nothing.

        Raises:
            RegistryUnavailableError: the registry does not answer.
        """
        if not value:
            return MessageContent()
        record = self._record(value) if value[0] == MAGIC_BYTE else None
        if record is not None:
            return _content_of(_JsonObject(record.items()))
        try:
            return _content_of(_parse(value))
        except (ValueError, RecursionError):
            return _undecoded(value)

    def _record(self, value: bytes) -> Record | None:
        for decode in self._registered:
            try:
                return decode(value)
            except RefusedError as error:
                if error.reason is Reason.UNKNOWN_SCHEMA_ID:
                    break
            except RegistryUnavailableError:
                raise
            except Exception:  # noqa: BLE001  # whatever a registered text raises that is no Avro schema
                return None
        else:
            if self._registered:
                return None
        # Decoder refuses a record that does not end where the message does, as one of another version would.
        for decode in self._bundled:
            try:
                return decode(value)
            except RefusedError:
                continue
        return None


class _RememberingRegistry:
    """A registry that is asked once for each schema id, whether it knows it or not."""

    def __init__(self, registry: Registry) -> None:
        self._registry: Final = registry
        self._answers: Final[dict[int, str | None]] = {}

    def schema_by_id(self, schema_id: int) -> str | None:
        if schema_id not in self._answers:
            self._answers[schema_id] = self._registry.schema_by_id(schema_id)
        return self._answers[schema_id]

    def id_of(self, subject: str, schema_name: str) -> int:
        return self._registry.id_of(subject, schema_name)


class _BundledSchema:
    """Stands for a registry: whatever its id, a message was written with this version of one schema."""

    def __init__(self, name: str) -> None:
        self._text: Final = schema_text(name)

    def schema_by_id(self, schema_id: int) -> str | None:
        return self._text

    def id_of(self, subject: str, schema_name: str) -> int:
        raise IncompatibleSchemaError(f"{schema_name} has no id without a registry")


class _JsonObject(tuple[tuple[str, Any], ...]):
    """The members of a JSON object, names that occur twice included."""

    __slots__ = ()


def _parse(value: bytes) -> Any:
    # Any encoding of JSON: the enricher refuses all but UTF-8, but bronze and the dead letters keep what it refuses.
    text = value.decode(json.detect_encoding(value))
    return json.loads(text, object_pairs_hook=_JsonObject, strict=False)


def _content_of(document: Any) -> MessageContent:
    outermost = document if isinstance(document, _JsonObject) else _JsonObject()
    members = list(_members(document))
    tokens = _texts_named(_TOKEN_FIELD, outermost) or _texts_named(_TOKEN_FIELD, members)
    ids = _texts_named(_ID_FIELD, outermost)
    return MessageContent(
        frozenset(tokens),
        next(iter(ids)) if len(ids) == 1 else None,
        frozenset(text for member in members for text in member if isinstance(text, str)),
    )


def _texts_named(name: str, members: Any) -> set[str]:
    return {value for member, value in members if member == name and isinstance(value, str) and value}


def _members(document: Any) -> Iterator[tuple[str, Any]]:
    """The members of all objects at any depth; elements of arrays, and a value that is all, have an empty name."""
    waiting = [("", document)]
    while waiting:
        name, value = waiting.pop()
        yield name, value
        if isinstance(value, _JsonObject):
            waiting += value
        elif isinstance(value, list):
            # The name of an array is that of its elements: {"card_token": ["…"]}.
            waiting += ((name, element) for element in value)


def _undecoded(value: bytes) -> MessageContent:
    text = value.decode("utf-8", "surrogateescape")
    tokens = {*_JSON_TOKENS.findall(text), *_AVRO_TOKENS.findall(text)}
    return MessageContent(frozenset(tokens), _undecoded_id(text), undecoded=text)


def _undecoded_id(text: str) -> str | None:
    # In broken Avro nothing tells an id from another short text or a number; in broken JSON its name does.
    found = _JSON_ID.match(text)
    try:
        return json.loads(found[1], strict=False) if found else None
    except ValueError:
        return None
