"""Messages of the alerts topic that are no alerts: kept on the dead-letter topic before their offset is passed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cardwatch_card_numbers.masking import mask_bytes, mask_suspicious_text, mask_text, mask_undecodable
from cardwatch_contracts.errors import CardwatchError, RefusedError
from cardwatch_contracts.identity import dead_letter_id
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Encoder, Record
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from cardwatch_notifier.intake.kafka_source import RawMessage

_SERVICE: Final = "notifier"
_UNDECODED: Final = frozenset(
    {Reason.NOT_CONFLUENT_FRAMED, Reason.UNKNOWN_SCHEMA_ID, Reason.WRONG_SCHEMA, Reason.UNDECODABLE_AVRO}
)


class DeadLetterError(CardwatchError):
    """The dead-letter topic did not take a letter: the message must not be passed yet."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A message and why it was refused."""

    message: RawMessage
    error: RefusedError


class DeadLetters(Protocol):
    """Where refused messages are kept."""

    def write(self, refused: Sequence[Refused]) -> None:
        """Keep them; they are safe when it returns.

        Raises:
            DeadLetterError: some may not be; try again.
        """


def dead_letter(refused: Refused, now: int) -> Record:
    """The record of a refused message, with the digits of card numbers in it masked."""
    message = refused.message
    mask_value = mask_undecodable if refused.error.reason in _UNDECODED else mask_bytes
    key = None if message.key is None else mask_bytes(message.key)
    value = None if message.value is None else mask_value(message.value)
    headers = [(mask_text(name), None if content is None else mask_bytes(content)) for name, content in message.headers]
    return {
        "dead_letter_id": dead_letter_id(message.partition.topic, message.partition.number, message.offset),
        "reason": refused.error.reason.value,
        "detail": mask_suspicious_text(str(refused.error)),
        "service": _SERVICE,
        "source_topic": message.partition.topic,
        "source_partition": message.partition.number,
        "source_offset": message.offset,
        "source_time": message.broker_time,
        "key": key,
        "value": value,
        "redacted": (key, value, headers) != (message.key, message.value, list(message.headers)),
        "headers": [{"name": name, "value": content} for name, content in headers],
        "refused_at": now,
    }


class KafkaDeadLetters:
    """Dead letters on a Kafka topic, each acknowledged by the broker."""

    def __init__(
        self, producer: Producer, topic: str, encode: Encoder, clock: Callable[[], int], timeout_seconds: float
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._encode = encode
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    def write(self, refused: Sequence[Refused]) -> None:
        self._write([dead_letter(one, self._clock()) for one in refused])

    def _write(self, letters: list[Record]) -> None:
        too_large: list[Record] = []
        failures: list[str] = []
        acknowledged = 0

        def report(letter: Record, error: KafkaError | None) -> None:
            nonlocal acknowledged
            if error is None:
                acknowledged += 1
            elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE and letter["value"] is not None:
                too_large.append(letter)
            else:
                failures.append(error.str())

        for letter in letters:

            def on_delivery(error: KafkaError | None, _: Message, letter: Record = letter) -> None:
                report(letter, error)

            try:
                self._producer.produce(
                    self._topic, key=letter["key"], value=self._encode(letter), on_delivery=on_delivery
                )
            except KafkaException as error:
                report(letter, error.args[0])
            except BufferError:
                failures.append("the producer's queue is full")
        self._producer.flush(self._timeout_seconds)
        if failures or acknowledged + len(too_large) < len(letters):
            why = failures[0] if failures else f"no acknowledgement within {self._timeout_seconds:.0f} s"
            raise DeadLetterError(f"the dead-letter topic {self._topic} does not take a message: {why}")
        if too_large:
            self._write([_without_value(letter) for letter in too_large])


def _without_value(letter: Record) -> Record:
    size = len(letter["value"])
    return {
        **letter,
        "value": None,
        "headers": [],
        "detail": f"{letter['detail']} (its {size} bytes do not fit here, they are at the source offset)",
    }
