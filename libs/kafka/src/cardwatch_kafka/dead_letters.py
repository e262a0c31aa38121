"""Dead letters: the record of a message that was refused, and the writer that keeps it on the dead-letter topic.

Card numbers are masked before a record is built. How the value is masked depends on what the service knows about it.

A message that cannot be kept like that, because building or encoding its dead letter fails, is kept as a *last-resort*
dead letter: where it is and a hash of it, but nothing of its content. It is always small and always valid, so that no
message can stop a service.
"""

import hashlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cardwatch_card_numbers.masking import mask_bytes, mask_header, mask_text
from cardwatch_contracts.errors import CardwatchError, RefusedError
from cardwatch_contracts.identity import dead_letter_id
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Encoder, Record
from cardwatch_service.logs import get_logger

from cardwatch_kafka.errors import ErrorKind, classify_error, describe_error
from cardwatch_kafka.messages import Headers, OutgoingMessage, ReceivedMessage
from cardwatch_kafka.producer import KafkaProducer

log = get_logger(__name__)

MAX_DETAIL_LENGTH: Final = 500
MAX_SHORTENED_KEY_BYTES: Final = 16 * 1024
"""A key counts twice, in the record and as the key that it is published under: a longer one is left out."""

_MAX_STACK_CALLS: Final = 20
_LONGS: Final = range(-(2**63), 2**63)

ReportInternalError = Callable[[ReceivedMessage, str, str], None]
"""Called with a message that a service failed on, the exception's class, and where it was raised (no values)."""


class DeadLetterError(CardwatchError):
    """The dead-letter topic did not take a message: the offset of its source must not be passed yet."""


@dataclass(frozen=True, slots=True)
class MaskedContent:
    """What is kept of a refused message, card numbers masked.

    Attributes:
        detail: the sentence that says why it was refused.
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    detail: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused message and its record, which fits ``dead_letter.avsc``."""

    source: ReceivedMessage
    reason: Reason
    record: Record

    @property
    def key(self) -> bytes | None:
        """The key that it is published under."""
        key: bytes | None = self.record["key"]
        return key


def mask_message(
    message: ReceivedMessage, error: RefusedError, mask_value: Callable[[bytes], bytes] = mask_bytes
) -> MaskedContent:
    """What is kept of a refused message: the card numbers in its key, value, headers and detail are masked.

    Args:
        mask_value: masks the value; a service that knows its form masks it by that.
    """
    return MaskedContent(
        key=None if message.key is None else mask_bytes(message.key),
        value=None if message.value is None else mask_value(message.value),
        headers=[mask_header(_unicode_name(name), value) for name, value in message.headers],
        # Masked before it is cut: part of a card number is none that masking finds.
        detail=mask_text(str(error))[:MAX_DETAIL_LENGTH],
    )


def _unicode_name(name: str) -> str:
    """A header's name; what of it is not Unicode is written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def build_dead_letter(
    source: ReceivedMessage, reason: Reason, content: MaskedContent, *, service: str, refused_at: int
) -> DeadLetter:
    """The dead letter of a message.

    Args:
        service: which service refuses it.
        refused_at: when, in microseconds since 1970-01-01 UTC.
    """
    original = (source.key, source.value, list(source.headers))
    record: Record = {
        "dead_letter_id": dead_letter_id(source.topic, source.partition, source.offset),
        "reason": reason.value,
        "detail": content.detail,
        "service": service,
        "source_topic": source.topic,
        "source_partition": source.partition,
        "source_offset": source.offset,
        "source_time": source.broker_time,
        "key": content.key,
        "value": content.value,
        "redacted": (content.key, content.value, list(content.headers)) != original,
        "headers": [{"name": name, "value": value} for name, value in content.headers],
        "refused_at": refused_at,
    }
    return DeadLetter(source, reason, record)


def describe_internal_error(error: Exception) -> tuple[str, str]:
    """The class of an exception, and the last calls that led to it: no values, and so nothing of a message."""
    return type(error).__name__, "".join(traceback.format_tb(error.__traceback__, limit=-_MAX_STACK_CALLS))


def log_internal_error(source: ReceivedMessage, error_type: str, where: str) -> None:
    """Log that an internal error kept a message from being processed; arguments as for ``ReportInternalError``."""
    log.error(
        "internal error: a message could not be processed and is kept as a dead letter",
        topic=source.topic, partition=source.partition, offset=source.offset, error=error_type, where=where,
    )  # fmt: skip


def build_last_resort_letter(
    source: ReceivedMessage, why: str, *, reason: Reason, service: str, refused_at: int
) -> DeadLetter:
    """The dead letter of a message that cannot be kept otherwise: without any content, and valid for any message.

    Args:
        why: a sentence that says why there is no content; it quotes nothing of the message.
        reason: why the message was refused.
        service: which service refuses it.
        refused_at: when, in microseconds since 1970-01-01 UTC.
    """
    value = source.value or b""
    header_bytes = sum(len(name) + len(header or b"") for name, header in source.headers)
    record: Record = {
        "dead_letter_id": dead_letter_id(source.topic, source.partition, source.offset),
        "reason": reason.value,
        "detail": f"{why}; the whole message is at its source offset: a key of {len(source.key or b'')} bytes, a value "
        f"of {len(value)} bytes with SHA-256 {hashlib.sha256(value).hexdigest()}, {len(source.headers)} headers of "
        f"{header_bytes} bytes",
        "service": service,
        "source_topic": source.topic,
        "source_partition": source.partition,
        "source_offset": source.offset,
        "source_time": source.broker_time if source.broker_time in _LONGS else None,
        "key": None,
        "value": None,
        "redacted": source.key is not None or source.value is not None or bool(source.headers),
        "headers": [],
        "refused_at": refused_at,
    }
    return DeadLetter(source, reason, record)


def build_or_last_resort(
    build: Callable[[], DeadLetter],
    source: ReceivedMessage,
    refused: RefusedError,
    *,
    service: str,
    refused_at: int,
    report_internal_error: ReportInternalError = log_internal_error,
) -> DeadLetter:
    """The dead letter that ``build`` returns, or the last-resort letter if that fails with an internal error.

    Args:
        refused: why the message is refused.
        service: which service refuses it.
        refused_at: when, in microseconds since 1970-01-01 UTC.
    """
    try:
        return build()
    except Exception as error:  # noqa: BLE001  # no error may cost more than the content of one message
        (error_type, where) = describe_internal_error(error)
        report_internal_error(source, error_type, where)
        why = f"refused with {refused.reason}; building its dead letter failed with {error_type}, a defect"
        return build_last_resort_letter(
            source, why, reason=Reason.INTERNAL_ERROR, service=service, refused_at=refused_at
        )


def encode_dead_letter(
    letter: DeadLetter, encode: Encoder, report_internal_error: ReportInternalError = log_internal_error
) -> tuple[DeadLetter, bytes]:
    """The letter and its bytes, or those of its last-resort letter if encoding fails with an internal error."""
    try:
        return letter, encode(letter.record)
    except Exception as error:  # noqa: BLE001  # no error may cost more than the content of one message
        (error_type, where) = describe_internal_error(error)
        report_internal_error(letter.source, error_type, where)
        last_resort = remove_content(letter, f"encoding its dead letter failed with {error_type}, a defect")
        return last_resort, encode(last_resort.record)


def remove_content(letter: DeadLetter, why: str) -> DeadLetter:
    """The last-resort letter for one that cannot be written. ``why``: as for ``build_last_resort_letter``."""
    (service, refused_at) = (letter.record["service"], letter.record["refused_at"])
    return build_last_resort_letter(letter.source, why, reason=letter.reason, service=service, refused_at=refused_at)


def remove_large_content(letter: DeadLetter) -> DeadLetter:
    """The last-resort letter for one that is too large even when it is shortened."""
    return remove_content(letter, "its dead letter was too large, so that nothing of the message's content is kept")


def shorten_dead_letter(letter: DeadLetter, max_value_bytes: int) -> DeadLetter:
    """The same dead letter without headers and with the beginning of its value only, where the broker takes no more.

    A long key is left out too (see MAX_SHORTENED_KEY_BYTES).

    Args:
        max_value_bytes: how much of the value stays; 0 leaves it out.
    """
    value: bytes | None = letter.record["value"]
    kept = value[:max_value_bytes] if value is not None and max_value_bytes else None
    size = len(value or b"")
    key: bytes | None = letter.record["key"]
    record = {
        **letter.record,
        "key": key if key is None or len(key) <= MAX_SHORTENED_KEY_BYTES else None,
        "value": kept,
        "headers": [],
        "detail": f"{letter.record['detail']} (the dead letter was too large: {len(kept or b'')} of the value's {size} "
        "bytes are kept and no headers; the whole message is at its source offset)",
    }
    return replace(letter, record=record)


class DeadLetterWriter:
    """Writes dead letters to a Kafka topic, each acknowledged by the broker."""

    def __init__(self, producer: KafkaProducer, topic: str, encode: Encoder, timeout_seconds: float) -> None:
        self._producer: Final = producer
        self._topic: Final = topic
        self._encode: Final = encode
        self._timeout_seconds: Final = timeout_seconds

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Write dead letters; the broker has acknowledged them when it returns.

        A letter that is too large is kept without its value, and if necessary without any of the message's content.

        Raises:
            DeadLetterError: some may not be safe; try again.
        """
        encoded = [encode_dead_letter(letter, self._encode) for letter in letters]
        for shorten in (_without_value, remove_large_content):
            rejected = self._deliver(encoded)
            encoded = [encode_dead_letter(shorten(letter), self._encode) for letter in rejected]
            if not encoded:
                return
        if rejected := self._deliver(encoded):
            raise DeadLetterError(
                f"the dead-letter topic {self._topic} takes not even a dead letter without content, of "
                f"{len(self._encode(rejected[0].record))} bytes; set the topic's max.message.bytes to 1 MB or more"
            )

    def _deliver(self, encoded: Sequence[tuple[DeadLetter, bytes]]) -> list[DeadLetter]:
        """Deliver letters; returns those that are too large for the broker. The others are acknowledged."""
        result = self._producer.deliver(
            [OutgoingMessage(self._topic, letter.key, value) for letter, value in encoded], self._timeout_seconds
        )
        rejected = []
        for failed in result.failed:
            if classify_error(failed.error) is not ErrorKind.REJECTED:
                raise DeadLetterError(
                    describe_error(failed.error, "written to", topic=self._topic, servers=self._producer.servers)
                )
            rejected.append(encoded[failed.index][0])
        if result.unanswered:
            raise DeadLetterError(
                f"the dead-letter topic {self._topic} does not take a message: "
                f"no acknowledgement within {self._timeout_seconds:.0f} s"
            )
        return rejected


def _without_value(letter: DeadLetter) -> DeadLetter:
    return shorten_dead_letter(letter, 0)
