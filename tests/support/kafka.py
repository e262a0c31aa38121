"""Writes records to topics and reads everything back, independently of the services' own clients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import Topic
from cardwatch_contracts.wire import Decoder, Encoder, Record
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from support.platforms import Platform

TIMEOUT_SECONDS: Final = 60.0
FLUSH_SECONDS: Final = 120.0  # the machine may be busy with other tests
_REQUEST_SECONDS: Final = 10.0

# A broker that has just come back, or a topic that was just created, has no leaders yet.
_retry_for_a_minute = retry(
    retry=retry_if_exception_type(KafkaException),
    wait=wait_fixed(0.3),
    stop=stop_after_delay(TIMEOUT_SECONDS),
    reraise=True,
)


class KafkaTopics:
    """The topics under one prefix.

    Args:
        platform: the broker and the registry.
        prefix: the topics exist, and their schemas are registered.
        producer_settings: of librdkafka, for the producer that writes what the test sends.
    """

    def __init__(self, platform: Platform, prefix: str, **producer_settings: Any) -> None:
        self.prefix: Final = prefix
        self.registry: Final = ConfluentRegistry(platform.registry_url)
        self._bootstrap_servers: Final = platform.bootstrap_servers
        self._encoders: dict[str, Encoder] = {}
        self._producer: Final = Producer(
            {
                "bootstrap.servers": platform.bootstrap_servers,
                "linger.ms": 0,
                **{name.replace("_", "."): value for name, value in producer_settings.items()},
            }
        )

    def schema_id(self, topic: Topic) -> int:
        """The id under which the topic's schema is registered."""
        return self.registry.id_of(topic.subject(self.prefix), str(topic.schema))

    def encode(self, topic: Topic, record: Record) -> bytes:
        """A record in Confluent Avro, with the topic's schema."""
        if topic.base_name not in self._encoders:
            self._encoders[topic.base_name] = Encoder(str(topic.schema), self.schema_id(topic))
        return self._encoders[topic.base_name](record)

    def send(
        self,
        topic: Topic,
        value: bytes | None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        *,
        timestamp: int = 0,
    ) -> None:
        """Pass a message to the producer; ``flush`` waits until the broker has it.

        Args:
            timestamp: milliseconds since 1970, which only a topic with CreateTime keeps; 0 for the time of sending.
        """
        self._producer.produce(topic.name(self.prefix), value, key, headers=list(headers), timestamp=timestamp)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has all that was sent; an assertion fails when it has not in time."""
        assert self._producer.flush(FLUSH_SECONDS) == 0

    def messages(self, topic: Topic) -> list[Message]:
        """All messages of a topic so far, in the order of its partitions and their offsets."""
        return read_messages(self._bootstrap_servers, topic.name(self.prefix))

    def records(self, topic: Topic) -> list[Record]:
        """The same, decoded."""
        decode = Decoder(str(topic.schema), self.registry, topic.subject(self.prefix))
        return [decode(message.value()) for message in self.messages(topic)]

    def end_offsets(self, *topics: Topic) -> dict[tuple[str, int], int]:
        """The end offsets of all partitions of some topics, by the topic's full name and partition."""
        return read_end_offsets(self._bootstrap_servers, *(topic.name(self.prefix) for topic in topics))


@contextmanager
def open_consumer(servers: str) -> Iterator[Consumer]:
    """A consumer that commits nothing, for the length of a ``with``."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "reads-all",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


@_retry_for_a_minute
def end_offset(consumer: Consumer, partition: TopicPartition) -> int:
    """The offset that the partition's next message will have.

    Raises:
        KafkaException: the broker has not answered for a minute.
    """
    return int(consumer.get_watermark_offsets(partition, timeout=_REQUEST_SECONDS)[1])


@_retry_for_a_minute
def list_partitions(consumer: Consumer, topic: str) -> list[int]:
    """The numbers of a topic's partitions.

    Raises:
        KafkaException: the broker has not answered for a minute.
    """
    found = consumer.list_topics(topic, _REQUEST_SECONDS).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def read_end_offsets(servers: str, *topics: str) -> dict[tuple[str, int], int]:
    """The end offsets of all partitions of some topics, by topic and partition."""
    with open_consumer(servers) as consumer:
        return {
            (topic, partition): end_offset(consumer, TopicPartition(topic, partition))
            for topic in topics
            for partition in list_partitions(consumer, topic)
        }


def read_messages(servers: str, topic: str) -> list[Message]:
    """All messages that a topic has by now, in the order of its partitions and their offsets."""
    found: list[Message] = []
    with open_consumer(servers) as consumer:
        for partition in list_partitions(consumer, topic):
            end = end_offset(consumer, TopicPartition(topic, partition))
            consumer.assign([TopicPartition(topic, partition, 0)])
            position = 0
            while position < end:
                message = consumer.poll(TIMEOUT_SECONDS)
                assert message is not None, f"{topic} [{partition}] has {end} messages, {position} came"
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    break  # the offsets before the end have no message: a transaction's marker, or aborted messages
                assert error is None, error
                position = message.offset() + 1
                found.append(message)
    return found
