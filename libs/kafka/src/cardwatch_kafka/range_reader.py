"""Reads ranges of topics without joining a consumer group or committing an offset."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as ClientTopicPartition

from cardwatch_kafka.configuration import CLIENT_LOGGER, KafkaConfig, consumer_config
from cardwatch_kafka.errors import BrokerUnavailableError, ErrorKind, classify_error, translate_error
from cardwatch_kafka.messages import ReceivedMessage, TopicPartition
from cardwatch_kafka.polling import poll_messages, received_message
from cardwatch_kafka.topics import end_offsets, first_offsets, offsets_since, topic_partitions

_POLL_SECONDS: Final = 0.1
_MESSAGES_PER_POLL: Final = 1_000
_DESCRIBE_SECONDS: Final = 20.0

# What is held at a time where messages are read in batches. One message has at most what the broker takes.
_MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
_MAX_BATCH_MESSAGES: Final = 1_000

# Waiting does not help against these errors.
_HOPELESS: Final = frozenset({ErrorKind.FATAL, ErrorKind.FORBIDDEN})


class RangeReader:
    """Reads ranges of topics with a client that is created when it is first needed. Not for several threads."""

    def __init__(
        self,
        connection: KafkaConfig,
        name: str,
        overrides: Mapping[str, Any] | None = None,
        *,
        silence_seconds: float = 30.0,
        make_client: Callable[..., Any] = Consumer,
    ) -> None:
        """
        Args:
            connection: ``bootstrap.servers`` and security.
            name: used as the consumer group that librdkafka requires; the group is never joined.
            overrides: the service's own settings of librdkafka.
            silence_seconds: how long the broker may not answer before it counts as unavailable.
            make_client: creates the client; tests pass a fake.
        """
        self._servers: Final = connection.get("bootstrap.servers")
        self._config: Final = consumer_config(connection, name, {**(overrides or {}), "enable.partition.eof": True})
        self._silence_seconds: Final = silence_seconds
        self._make_client: Final = make_client
        self._client: Any = None

    def partitions(self, topic: str) -> list[int]:
        """The numbers of a topic's partitions, in ascending order.

        Raises:
            KafkaClientError: the broker does not answer, or has no such topic.
        """
        return topic_partitions(self._consumer(), topic, timeout_seconds=_DESCRIBE_SECONDS, servers=self._servers)

    def end_offsets(self, *topics: str, timeout_seconds: float = 30.0) -> dict[TopicPartition, int]:
        """The offset after the last committed message of each partition of the topics.

        Raises:
            KafkaClientError: the broker does not say within ``timeout_seconds``, or has no such topic.
        """
        partitions = [TopicPartition(topic, number) for topic in topics for number in self.partitions(topic)]
        return end_offsets(self._consumer(), partitions, timeout_seconds=timeout_seconds, servers=self._servers)

    def first_offsets(self, topic: str, *, timeout_seconds: float = 30.0) -> dict[int, int]:
        """The offset of the first message that each partition of a topic still has; its end if it has none.

        Raises:
            KafkaClientError: the broker does not say within ``timeout_seconds``, or has no such topic.
        """
        found = first_offsets(
            self._consumer(), self._all_of(topic), timeout_seconds=timeout_seconds, servers=self._servers
        )
        return {at.partition: offset for at, offset in found.items()}

    def offsets_since(self, topic: str, since_ms: int, *, timeout_seconds: float = 30.0) -> dict[int, int]:
        """The offset of the first message of each partition of a topic at a time (milliseconds) or later.

        Raises:
            KafkaClientError: the broker does not say within ``timeout_seconds``, or has no such topic.
        """
        found = offsets_since(
            self._consumer(), self._all_of(topic), since_ms, timeout_seconds=timeout_seconds, servers=self._servers
        )
        return {at.partition: offset for at, offset in found.items()}

    def end_offset(self, at: TopicPartition, *, timeout_seconds: float = 30.0) -> int:
        """The offset after the last committed message of one partition.

        Raises:
            KafkaClientError: the broker does not say within ``timeout_seconds``, or has no such partition.
        """
        return end_offsets(self._consumer(), [at], timeout_seconds=timeout_seconds, servers=self._servers)[at]

    def read(self, topic: str, start: Mapping[int, int], end: Mapping[int, int]) -> Iterator[ReceivedMessage]:
        """The messages from the offsets of ``start`` to those of ``end``, by partition, the latter not included.

        They come in order within a partition. A partition without a start is read from its beginning. Offsets that hold
        no message (deleted, compacted, of an aborted transaction, or a transaction's marker) are skipped.

        Raises:
            BrokerUnavailableError: the broker sends nothing for ``silence_seconds``.
            KafkaClientError: the topic may not be read.
        """
        begin = {partition: start.get(partition, OFFSET_BEGINNING) for partition in end}
        unread = {partition for partition, until in end.items() if max(begin[partition], 0) < until}
        if not unread:
            return
        consumer = self._consumer()
        consumer.assign([ClientTopicPartition(topic, partition, begin[partition]) for partition in sorted(unread)])
        try:
            yield from self._messages(topic, unread, end)
        finally:
            consumer.unassign()

    def read_all(self, topic: str) -> Iterator[ReceivedMessage]:
        """Every message that a topic holds now, in order within a partition.

        Raises:
            KafkaClientError: the broker stops answering, or has no such topic.
        """
        ends = {number: end for (_, number), end in self.end_offsets(topic).items()}
        yield from self.read(topic, {}, ends)

    def close(self) -> None:
        """Disconnect; the next use connects again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _all_of(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in self.partitions(topic)]

    def _consumer(self) -> Any:
        if self._client is None:
            self._client = self._make_client(self._config, logger=CLIENT_LOGGER)
        return self._client

    def _messages(self, topic: str, unread: set[int], end: Mapping[int, int]) -> Iterator[ReceivedMessage]:
        heard = time.monotonic()
        why = ""
        while unread:
            messages = poll_messages(self._client, _POLL_SECONDS, _MESSAGES_PER_POLL)
            for message in messages:
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    if classify_error(error) in _HOPELESS:
                        raise translate_error(error, "read", topic=topic, servers=self._servers)
                    why = f": {error.str()}"
                    continue
                if message.partition() in unread:  # others go on being read, but that brings the end no nearer
                    heard = time.monotonic()
                yield from self._within(message, unread, end, at_end=error is not None)
            if unread and time.monotonic() - heard > self._silence_seconds:
                raise BrokerUnavailableError(
                    f"the broker at {self._servers} sent no message of {topic} for {self._silence_seconds:.0f} s{why}"
                )

    @staticmethod
    def _within(
        message: Message, unread: set[int], end: Mapping[int, int], *, at_end: bool
    ) -> Iterator[ReceivedMessage]:
        """The message if it is in the range; ``unread`` loses a partition of which all messages have come."""
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        if not at_end and offset < end[partition]:
            yield received_message(message)
        # The last offsets may have no message: then a later message, or the partition's end, shows that all have
        # arrived.
        next_offset = offset if at_end else offset + 1
        if next_offset >= end[partition]:
            unread.discard(partition)


def in_batches(messages: Iterable[ReceivedMessage]) -> Iterator[list[ReceivedMessage]]:
    """Messages in batches of at most 1,000, which end with the message that makes them 4 MiB or more."""
    batch: list[ReceivedMessage] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += len(message.value or b"") + len(message.key or b"")
        if size >= _MAX_BATCH_BYTES or len(batch) >= _MAX_BATCH_MESSAGES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
