"""Kafka clients besides Spark's own: they publish a micro-batch's results, and read its messages a second time."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Final, Protocol

from cardwatch_contracts.errors import CardwatchError, RegistryUnavailableError
from cardwatch_contracts.registry_outages import WINDOW_MESSAGES
from cardwatch_contracts.wire import HEADER, MAGIC_BYTE
from cardwatch_kafka.configuration import KafkaConfig, producer_config
from cardwatch_kafka.messages import OutgoingMessage, ReceivedMessage
from cardwatch_kafka.producer import KafkaProducer
from cardwatch_kafka.range_reader import RangeReader

NEWEST_MESSAGES: Final = WINDOW_MESSAGES
_DELIVERY_SECONDS: Final = 120
_MILLISECONDS_PER_SECOND: Final = 1000
# The client requires the name of a consumer group; none is joined and no offset committed.
_READER_NAME: Final = "cardwatch-late"
_READER_CONFIG: Final[KafkaConfig] = {
    # An outage is reported by an error with one sentence, not by the client's own lines on standard error.
    "log_level": 0,
    "fetch.wait.max.ms": 20,
}


class MessagePublisher(Protocol):
    """Publishes the messages of a micro-batch; tests use a fake."""

    def publish(self, messages: Iterable[OutgoingMessage]) -> int:
        """Publish messages and wait until all are acknowledged; returns how many.

        Raises:
            CardwatchError: not all were; the micro-batch has to be repeated.
        """


class MessageReader(Protocol):
    """Reads ranges of topics (``cardwatch_kafka.range_reader.RangeReader``); tests use a fake."""

    def read(self, topic: str, start: Mapping[int, int], end: Mapping[int, int]) -> Iterator[ReceivedMessage]:
        """The messages from the offsets of ``start`` to those of ``end``, by partition, the latter not included.

        A partition without a start is read from its beginning. Messages that the broker has deleted are left out.

        Raises:
            CardwatchError: the broker does not answer.
        """


class MicroBatchPublisher:
    """Publishes with an idempotent producer, so that messages of one key stay in order."""

    def __init__(self, kafka: KafkaConfig) -> None:
        overrides = {
            "linger.ms": 0,
            "compression.type": "lz4",
            "delivery.timeout.ms": _DELIVERY_SECONDS * _MILLISECONDS_PER_SECOND,
        }
        self._producer: Final = KafkaProducer(producer_config(kafka, overrides))

    def publish(self, messages: Iterable[OutgoingMessage]) -> int:
        result = self._producer.deliver(messages, _DELIVERY_SECONDS + 5)
        result.require_all(self._producer.servers)
        return result.sent


def newest_schema_ids(kafka: KafkaConfig, topic: str) -> Counter[int]:
    """The schema ids of a topic's newest messages, about NEWEST_MESSAGES of them, with the number of messages.

    Raises:
        RegistryUnavailableError: the broker does not answer, so that nothing is known about the registry either.
    """
    with closing(silver_reader(kafka)) as reader:
        try:
            ends = {at.partition: offset for at, offset in reader.end_offsets(topic).items()}
            starts = {at: max(0, offset - NEWEST_MESSAGES // len(ends)) for at, offset in ends.items()}
            values = [message.value for message in reader.read(topic, starts, ends)]
        except CardwatchError as error:
            raise RegistryUnavailableError(f"the newest messages of {topic} cannot be read: {error}") from error
    frames = [HEADER.unpack_from(value) for value in values if value is not None and len(value) >= HEADER.size]
    return Counter(schema_id for magic, schema_id in frames if magic == MAGIC_BYTE)


def silver_reader(kafka: KafkaConfig, *, silence_seconds: float = 30.0) -> RangeReader:
    """Reads the silver messages of a micro-batch again.

    Args:
        silence_seconds: how long the broker may not answer before it counts as unavailable.
    """
    return RangeReader(kafka, _READER_NAME, _READER_CONFIG, silence_seconds=silence_seconds)
