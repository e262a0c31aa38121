"""Refusing a message: its dead letter, with the reason, everything needed to redrive it, and no card number."""

from collections.abc import Callable
from typing import Any, Final

from cardwatch_card_numbers.masking import (
    mask_bytes,
    mask_strings,
    mask_suspicious_text,
    mask_text,
    mask_undecodable,
)
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.identity import dead_letter_id
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record

from cardwatch_enricher.message import RawMessage, Refused
from cardwatch_enricher.redact import redact_json

SERVICE: Final = "enricher"

_DETAIL_LENGTH: Final = 500
_TRUNCATED_BYTES: Final = 256 * 1024


class Refusal:
    """Makes dead letters."""

    def __init__(self, json_topic: str, known_fields: frozenset[str], tokenise: Callable[[Any], Record]) -> None:
        """
        Args:
            json_topic: the topic whose messages are JSON; all others' are Avro.
            known_fields: names of the fields of ``transaction.avsc``.
            tokenise: turns a card number into the four card fields, or raises RefusedError.
        """
        self._json_topic = json_topic
        self._known_fields = known_fields
        self._tokenise = tokenise

    def __call__(self, message: RawMessage, error: RefusedError, decoded: Record | None, now: int) -> Refused:
        """The dead letter of a message.

        Args:
            decoded: what its value was decoded into, where that went well.
            now: the time of refusing, microseconds since epoch UTC.
        """
        value = None if message.value is None else self._redacted(message, message.value, decoded)
        key = None if message.key is None else mask_bytes(message.key)
        headers = [
            {"name": mask_text(name), "value": None if content is None else mask_bytes(content)}
            for name, content in message.headers
        ]
        original = [{"name": name, "value": content} for name, content in message.headers]
        record: Record = {
            "dead_letter_id": dead_letter_id(message.topic, message.partition, message.offset),
            "reason": str(error.reason),
            "detail": mask_suspicious_text(str(error))[:_DETAIL_LENGTH],
            "service": SERVICE,
            "source_topic": message.topic,
            "source_partition": message.partition,
            "source_offset": message.offset,
            "source_time": message.broker_time,
            "key": key,
            "value": value,
            "redacted": (value, key, headers) != (message.value, message.key, original),
            "headers": headers,
            "refused_at": now,
        }
        return Refused(message, key, record, Reason(error.reason))

    def _redacted(self, message: RawMessage, value: bytes, decoded: Record | None) -> bytes:
        if message.topic == self._json_topic:
            return redact_json(value, self._known_fields, self._tokenise)
        if decoded is not None:
            return mask_strings(value, (text for text in decoded.values() if isinstance(text, str)))
        return mask_undecodable(value)


def truncated(letter: Refused) -> Refused:
    """The same letter with the beginning of its value only, for one that is larger than the broker takes."""
    value: bytes | None = letter.record["value"]
    record = {
        **letter.record,
        "value": None if value is None else value[:_TRUNCATED_BYTES],
        "headers": [],
        "detail": f"{letter.record['detail']} (the letter was too large: value cut to {_TRUNCATED_BYTES} bytes, "
        "headers left out; the whole message is at its source)",
    }
    return Refused(letter.source, letter.key, record, letter.reason)
