"""``log`` on Kafka. Messages must stay in order, so all are written to and read from partition 0."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cardwatch_kafka.configuration import KafkaConfig, producer_config
from cardwatch_kafka.errors import kafka_error
from cardwatch_kafka.messages import OutgoingMessage, ReceivedMessage, TopicPartition
from cardwatch_kafka.producer import KafkaProducer
from cardwatch_kafka.range_reader import RangeReader, in_batches
from cardwatch_kafka.topic_follower import TopicFollower
from cardwatch_service import logs
from confluent_kafka import KafkaError, KafkaException, Message

PARTITION: Final = 0

READER_NAME: Final = "cardwatch-rulebook"
"""The consumer group that readers of these topics name, and never join: their Kafka users may name no other."""

_DELIVERY_SECONDS: Final = 20.0
_SILENCE_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 5.0
_FIRST_OFFSET: Final = 0

# An outage is reported by one sentence or log line, not by the client's own lines on standard error.
_COMMON: Final[KafkaConfig] = {"log_level": 0, "reconnect.backoff.max.ms": 1_000}
_CONSUMER: Final[KafkaConfig] = {**_COMMON, "fetch.wait.max.ms": 50, "fetch.error.backoff.ms": 100}
_PRODUCER: Final[KafkaConfig] = {**_COMMON, "linger.ms": 5, "delivery.timeout.ms": round(_DELIVERY_SECONDS * 1000)}

log = logs.get_logger(__name__)


class KafkaLog:
    """One topic, read to its end and appended to. Not for use from several threads."""

    def __init__(self, connection: KafkaConfig, topic: str) -> None:
        self._connection: Final = connection
        self._topic: Final = topic
        self._next = _FIRST_OFFSET
        self._reader: Final = RangeReader(connection, READER_NAME, _CONSUMER, silence_seconds=_SILENCE_SECONDS)
        self._producer: KafkaProducer | None = None

    def read(self) -> Iterator[Sequence[ReceivedMessage]]:
        """The messages that were appended since the last ``read``, up to the current end of the topic, in batches.

        A batch counts as read once the next one is asked for.

        Raises:
            KafkaClientError: the broker does not answer, or has no such topic.
        """
        end = self._reader.end_offset(TopicPartition(self._topic, PARTITION), timeout_seconds=_ANSWER_SECONDS)
        for batch in in_batches(self._reader.read(self._topic, {PARTITION: self._next}, {PARTITION: end})):
            yield batch
            self._next = batch[-1].offset + 1
        # Also past offsets that hold no message, because of compaction or of transactions.
        self._next = max(self._next, end)

    def append(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Append keys and values, in order, and wait until all in-sync replicas have them.

        Raises:
            DeliveryError: the broker does not take them. Whether some of them are there is then unknown.
        """
        if self._producer is None:
            self._producer = KafkaProducer(producer_config(self._connection, _PRODUCER))
        result = self._producer.deliver(_outgoing(self._topic, messages), _DELIVERY_SECONDS + 1)
        result.require_all(self._producer.servers)

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()
        self._producer = None


class KafkaBackgroundWriter:
    """Writes to a topic without waiting for acknowledgements; for one thread."""

    def __init__(self, connection: KafkaConfig, topic: str) -> None:
        self._topic: Final = topic
        # A message must survive an outage of any length, and nothing waits for its acknowledgement.
        self._producer: Final = KafkaProducer(producer_config(connection, {**_PRODUCER, "delivery.timeout.ms": 0}))

    def write(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Queue keys and values; what the broker refuses is logged."""
        for message in _outgoing(self._topic, messages):
            try:
                self._producer.send(message, self._report)
            except KafkaException as exception:
                self._log_failure(kafka_error(exception))
        self._producer.poll()

    def close(self) -> None:
        """Wait a few seconds for the messages that are not acknowledged yet."""
        self._producer.flush(_CLOSE_SECONDS)

    def _report(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._log_failure(error)

    def _log_failure(self, error: KafkaError) -> None:
        log.warning("message not delivered", topic=self._topic, why=error.str())


def follow_topics(connection: KafkaConfig, topics: Iterable[str]) -> TopicFollower:
    """Topics read from the beginning and then followed; for one thread."""
    partitions = [TopicPartition(topic, PARTITION) for topic in sorted(topics)]
    return TopicFollower(connection, READER_NAME, partitions, _CONSUMER)


def _outgoing(topic: str, messages: Iterable[tuple[str, bytes]]) -> list[OutgoingMessage]:
    return [OutgoingMessage(topic, key.encode(), value, partition=PARTITION) for key, value in messages]
