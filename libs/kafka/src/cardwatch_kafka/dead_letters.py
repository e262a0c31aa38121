"""Dead letters: the record of a message that was refused, and the writer that keeps it on the dead-letter topic.

Card numbers are masked before a record is built. How the value is masked depends on what the service knows about it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cardwatch_card_numbers.masking import mask_bytes, mask_suspicious_text, mask_text
from cardwatch_contracts.errors import CardwatchError, RefusedError
from cardwatch_contracts.identity import dead_letter_id
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Encoder, Record

from cardwatch_kafka.errors import ErrorKind, classify_error, describe_error
from cardwatch_kafka.messages import Headers, OutgoingMessage, ReceivedMessage
from cardwatch_kafka.producer import KafkaProducer


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
        mask_value: masks the value; by what the service knows of its form, it may keep more of it than ``mask_bytes``.
    """
    return MaskedContent(
        key=None if message.key is None else mask_bytes(message.key),
        value=None if message.value is None else mask_value(message.value),
        headers=[(mask_text(name), None if header is None else mask_bytes(header)) for name, header in message.headers],
        detail=mask_suspicious_text(str(error)),
    )


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


def shorten_dead_letter(letter: DeadLetter, max_value_bytes: int) -> DeadLetter:
    """The same dead letter without headers and with the beginning of its value only, where the broker takes no more.

    Args:
        max_value_bytes: how much of the value stays; 0 leaves it out.
    """
    value: bytes | None = letter.record["value"]
    kept = value[:max_value_bytes] if value is not None and max_value_bytes else None
    size = len(value or b"")
    record = {
        **letter.record,
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
        """Write dead letters; they are safe when it returns. One that is too large is kept without its value.

        Raises:
            DeadLetterError: some may not be safe; try again.
        """
        result = self._producer.deliver(
            [OutgoingMessage(self._topic, letter.key, self._encode(letter.record)) for letter in letters],
            self._timeout_seconds,
        )
        too_large: list[DeadLetter] = []
        for failed in result.failed:
            letter = letters[failed.index]
            if classify_error(failed.error) is ErrorKind.REJECTED and letter.record["value"] is not None:
                too_large.append(letter)
            else:
                raise DeadLetterError(
                    describe_error(failed.error, "written to", topic=self._topic, servers=self._producer.servers)
                )
        if result.unanswered:
            raise DeadLetterError(
                f"the dead-letter topic {self._topic} does not take a message: "
                f"no acknowledgement within {self._timeout_seconds:.0f} s"
            )
        if too_large:
            self.write([shorten_dead_letter(letter, 0) for letter in too_large])
