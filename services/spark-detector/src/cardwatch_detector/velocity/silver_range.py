"""Reads a stretch of the silver topic again, beside Spark: no consumer group is joined, no offset committed."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cardwatch_contracts.errors import CardwatchError
from cardwatch_kafka.configuration import KafkaConfig
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

_SILENCE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.5
_CONSUMER: Final[KafkaConfig] = {
    # Of an outage people learn by a sentence of ours, not by the client's own on standard error.
    "log_level": 0,
    "group.id": "cardwatch-late",  # required by the client; no offset is ever committed
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 20,
}


@dataclass(frozen=True, slots=True)
class SilverMessage:
    """A message of the silver topic, as it came, and where it is.

    Attributes:
        headers: if they were asked for.
    """

    partition: int
    offset: int
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class SilverReader(Protocol):
    """Reads a stretch of the silver topic; tests use a fake."""

    def read(self, start: Mapping[int, int], end: Mapping[int, int]) -> Iterator[SilverMessage]:
        """The messages from the offsets of ``start`` to those of ``end``, by partition, the latter not included.

        A partition without a start is read from its beginning. Messages that the broker has deleted are left out.

        Raises:
            CardwatchError: the broker does not answer.
        """


class KafkaSilverReader:
    """Reads with a consumer that is made when it is first needed, and kept. Not for use from several threads."""

    def __init__(
        self, kafka: KafkaConfig, topic: str, *, headers: bool = False, silence_seconds: float = _SILENCE_SECONDS
    ) -> None:
        """
        Args:
            headers: whether they are wanted.
            silence_seconds: after so long without an answer the broker counts as away.
        """
        self._kafka: Final = kafka
        self._topic: Final = topic
        self._headers: Final = headers
        self._silence_seconds: Final = silence_seconds
        self._consumer: Consumer | None = None

    def read(self, start: Mapping[int, int], end: Mapping[int, int]) -> Iterator[SilverMessage]:
        begin = {partition: start.get(partition, OFFSET_BEGINNING) for partition in end}
        unread = {partition for partition, until in end.items() if begin[partition] < until}
        if self._consumer is None:
            self._consumer = Consumer({**self._kafka, **_CONSUMER})
        self._consumer.assign([TopicPartition(self._topic, partition, begin[partition]) for partition in unread])
        try:
            yield from self._messages(self._consumer, unread, end)
        finally:
            self._consumer.unassign()

    def _messages(self, consumer: Consumer, unread: set[int], end: Mapping[int, int]) -> Iterator[SilverMessage]:
        heard = time.monotonic()
        why = "it sends nothing"
        while unread:
            message: Any = consumer.poll(_POLL_SECONDS)
            error = message and message.error()
            at_end = error and error.code() == KafkaError._PARTITION_EOF
            if message is None or (error and not at_end):
                why = error.str() if error else why
                if time.monotonic() - heard > self._silence_seconds:
                    raise CardwatchError(f"the broker does not give messages of {self._topic} a second time: {why}")
                continue
            heard = time.monotonic()
            partition, offset = message.partition(), message.offset()
            # The last offsets may hold no message: then the end, or one beyond, says that all have come.
            if at_end or offset >= end[partition] - 1:
                unread.discard(partition)
            if not at_end and offset < end[partition]:
                headers = tuple(message.headers() or ()) if self._headers else ()
                yield SilverMessage(partition, offset, message.value(), headers)
