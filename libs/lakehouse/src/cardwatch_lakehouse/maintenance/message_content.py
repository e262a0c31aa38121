"""Finds the card that a Kafka message is about: in Avro by its writer's schema, in JSON, or else in its bytes."""

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import fastavro
from cardwatch_contracts.errors import RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import parsed_schema

Decode = Callable[[bytes], dict[str, Any]]
"""Decodes an Avro message; RefusedError if it cannot be decoded, RegistryUnavailableError if its schema cannot be
looked up now.
"""

# Confluent's wire format: a zero byte and a schema id of four bytes, then the record.
_MAGIC_BYTE: Final = 0
_FRAME_BYTES: Final = 5

_SCHEMAS: Final = ("transaction", "enriched_transaction")
_TOKEN_FIELD: Final = "card_token"  # noqa: S105 - a field's name
_ID_FIELD: Final = "transaction_id"

# The values of the field in a text that is not well-formed JSON.
_JSON_TOKENS: Final = re.compile(rf'"{_TOKEN_FIELD}"\s*:\s*"([^"\\]+)"')
# Avro writes a string's length (32, as a zigzag number: @) before it.
_AVRO_TOKENS: Final = re.compile(r"@([0-9a-f]{32})")
# The id as a member of the outermost object, after members that are not objects or arrays.
_JSON_ID: Final = re.compile(
    rf'\s*\{{(?:\s*"[^"\\]*"\s*:\s*(?:"[^"\\]*"|[-+.0-9A-Za-z]+)\s*,)*\s*"{_ID_FIELD}"\s*:\s*("(?:[^"\\]|\\.)*")'
)


@dataclass(frozen=True, slots=True)
class MessageContent:
    """The content of a message that can identify a card.

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
    """Decodes messages by the schemas that wrote them, or else by the schemas of this version of Cardwatch."""

    def __init__(self, decoders: Iterable[Decode] = ()) -> None:
        """
        Args:
            decoders: decode Avro by the schemas of a registry, each those of one name: ``Decoder`` of
                ``cardwatch_contracts.wire``. Without them only messages of this version's schemas can be decoded.
        """
        self._decoders: Final = tuple(decoders)

    def __call__(self, value: bytes | None) -> MessageContent:
        """The content of a message; of a message without a value: nothing.

        Raises:
            RegistryUnavailableError: the registry does not answer.
        """
        if not value:
            return MessageContent()
        record = self._record(value) if value[0] == _MAGIC_BYTE else None
        if record is not None:
            return _content_of(_JsonObject(record.items()))
        try:
            return _content_of(_parse(value))
        except (ValueError, RecursionError):
            return _undecoded(value)

    def _record(self, value: bytes) -> dict[str, Any] | None:
        registered = False
        for decode in self._decoders:
            try:
                return decode(value)
            except RefusedError as error:
                registered |= error.reason is not Reason.UNKNOWN_SCHEMA_ID
            except RegistryUnavailableError:
                raise
            except Exception:  # noqa: BLE001  # a registered text that is not an Avro schema may raise anything
                return None
        return None if registered else _decode_by_own_schemas(value)


def _decode_by_own_schemas(value: bytes) -> dict[str, Any] | None:
    for name in _SCHEMAS:
        source = io.BytesIO(value)
        source.seek(_FRAME_BYTES)
        try:
            record: Any = fastavro.schemaless_reader(source, parsed_schema(name), None)
        except Exception:  # noqa: BLE001, S112  # a codec may raise anything on invalid bytes
            continue
        # A record of another version would not end where the message does.
        if not source.read(1):
            return cast(dict[str, Any], record)
    return None


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
    # In invalid Avro nothing distinguishes an id from another short text or number; in invalid JSON its name does.
    found = _JSON_ID.match(text)
    try:
        return json.loads(found[1], strict=False) if found else None
    except ValueError:
        return None
