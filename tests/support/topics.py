"""Reads topics from end to end, independently of the services, for tests of any kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

PATIENCE_SECONDS: Final = 60.0
_ASK_SECONDS: Final = 10.0

# A broker that has just come back, or a topic that was just made, leads nothing yet.
_patiently = retry(
    retry=retry_if_exception_type(KafkaException),
    wait=wait_fixed(0.3),
    stop=stop_after_delay(PATIENCE_SECONDS),
    reraise=True,
)


@contextmanager
def reader(servers: str) -> Iterator[Consumer]:
    """A consumer that commits nothing, for the length of a ``with``."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reads-all", "enable.auto.commit": False})
    try:
        yield consumer
    finally:
        consumer.close()


@_patiently
def end_of(consumer: Consumer, partition: TopicPartition) -> int:
    """The offset that the partition's next message will have.

    Raises:
        KafkaException: the broker has not told it for a minute.
    """
    return int(consumer.get_watermark_offsets(partition, timeout=_ASK_SECONDS)[1])


@_patiently
def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    """The numbers of a topic's partitions.

    Raises:
        KafkaException: the broker has not told them for a minute.
    """
    found = consumer.list_topics(topic, _ASK_SECONDS).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def ends(servers: str, *topics: str) -> dict[tuple[str, int], int]:
    """The ends of all partitions of some topics, by topic and partition."""
    with reader(servers) as consumer:
        return {
            (topic, partition): end_of(consumer, TopicPartition(topic, partition))
            for topic in topics
            for partition in partitions_of(consumer, topic)
        }


def messages(servers: str, topic: str) -> list[Message]:
    """All messages that a topic has by now, in the order of its partitions and their offsets."""
    found: list[Message] = []
    with reader(servers) as consumer:
        for partition in partitions_of(consumer, topic):
            end = end_of(consumer, TopicPartition(topic, partition))
            consumer.assign([TopicPartition(topic, partition, 0)])
            read = 0
            while read < end:
                message = consumer.poll(PATIENCE_SECONDS)
                assert message is not None, f"{topic} [{partition}] has {end} messages, {read} came"
                assert message.error() is None, message.error()
                read = message.offset() + 1
                found.append(message)
    return found
