"""Topics as the broker knows them: create them, find their partitions, identities and ends."""

from collections.abc import Iterable
from typing import Any, Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.topics import ALL_TOPICS, Topic
from cardwatch_service.retry_pauses import END_OFFSETS_SECONDS
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as ClientTopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from cardwatch_kafka.configuration import KafkaConfig, admin_config
from cardwatch_kafka.errors import ErrorKind, classify_error, kafka_error, translate_error
from cardwatch_kafka.messages import TopicPartition

_CREATE_SECONDS: Final = 30.0
_DESCRIBE_SECONDS: Final = 4.0
# The timestamps that ask for a partition's end and for its first message (Kafka protocol, ListOffsets).
_LATEST: Final = -1
_EARLIEST: Final = -2
# The answer for a time after the last message.
_NO_OFFSET: Final = -1

# Errors of a broker that has just started, or lost the leadership of a partition for a moment.
_PASSES: Final = frozenset({ErrorKind.LEADER_CHANGE, ErrorKind.UNAVAILABLE})


def create_topics(
    connection: KafkaConfig, topic_prefix: str = "", replication_factor: int = -1, topics: Iterable[Topic] = ALL_TOPICS
) -> dict[str, bool]:
    """Create the topics that do not exist yet: topic name → whether it was created now.

    Args:
        connection: librdkafka client settings, ``bootstrap.servers`` at least.
        replication_factor: -1 takes the broker's default.

    Raises:
        CardwatchError: the broker does not answer or refuses a topic.
    """
    admin = AdminClient(admin_config(connection))
    requests = [
        NewTopic(topic.name(topic_prefix), topic.partitions, replication_factor, config=dict(topic.config))
        for topic in topics
    ]
    created: dict[str, bool] = {}
    for name, future in admin.create_topics(requests, request_timeout=_CREATE_SECONDS).items():
        try:
            future.result(_CREATE_SECONDS)
            created[name] = True
        except KafkaException as error:
            if kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise translate_error(
                    error, "created", topic=name, servers=connection.get("bootstrap.servers")
                ) from error
            created[name] = False
        except TimeoutError as error:
            raise CardwatchError(
                f"the broker at {connection.get('bootstrap.servers')} did not create {name} "
                f"within {_CREATE_SECONDS:.0f} s; check that it runs"
            ) from error
    return created


def topic_id(connection: KafkaConfig, topic: str) -> str:
    """The broker's identity of a topic: one that was deleted and created again has another.

    Raises:
        BrokerUnavailableError: the broker does not answer.
        KafkaClientError: there is no such topic, or it may not be described.
    """
    admin = AdminClient(admin_config(connection))
    future = admin.describe_topics(TopicCollection([topic]), request_timeout=_DESCRIBE_SECONDS)[topic]
    try:
        return str(future.result().topic_id)
    except KafkaException as error:
        raise translate_error(error, "described", topic=topic, servers=connection.get("bootstrap.servers")) from error


def topic_partitions(client: Any, topic: str, *, timeout_seconds: float, servers: object) -> list[int]:
    """The numbers of a topic's partitions, in ascending order.

    Args:
        client: a producer, consumer or administration client of confluent_kafka.
        timeout_seconds: how long to try again while the broker does not answer or changes its leadership.

    Raises:
        KafkaClientError: the broker does not answer, or has no such topic.
    """

    def ask() -> list[int]:
        found = client.list_topics(topic, timeout=timeout_seconds).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return sorted(found.partitions)

    try:
        return _retrying(timeout_seconds)(ask)
    except KafkaException as error:
        raise translate_error(error, "described", topic=topic, servers=servers) from error


def require_topic(client: Any, topic: str, *, timeout_seconds: float, servers: object) -> None:
    """Check that the broker answers and has a topic.

    Raises:
        KafkaClientError: it does not.
    """
    topic_partitions(client, topic, timeout_seconds=timeout_seconds, servers=servers)


def end_offsets(
    consumer: Any, partitions: Iterable[TopicPartition], *, timeout_seconds: float, servers: object
) -> dict[TopicPartition, int]:
    """The offset after the last committed message of each partition, with one request per broker.

    After an aborted transaction the last offsets before the end hold no message.

    Args:
        consumer: a consumer of confluent_kafka; its isolation level counts.
        timeout_seconds: how long to try again while the broker does not answer or a partition has no leader.

    Raises:
        KafkaClientError: the broker does not answer with the offsets.
    """
    return _list_offsets(consumer, partitions, _LATEST, timeout_seconds=timeout_seconds, servers=servers)


def first_offsets(
    consumer: Any, partitions: Iterable[TopicPartition], *, timeout_seconds: float, servers: object
) -> dict[TopicPartition, int]:
    """The offset of the first message that each partition still has; its end if it has none. As ``end_offsets``."""
    return _list_offsets(consumer, partitions, _EARLIEST, timeout_seconds=timeout_seconds, servers=servers)


def offsets_since(
    consumer: Any, partitions: Iterable[TopicPartition], since_ms: int, *, timeout_seconds: float, servers: object
) -> dict[TopicPartition, int]:
    """The offset of each partition's first message of a time or later; its end if it has none. As ``end_offsets``.

    Args:
        since_ms: milliseconds since 1970-01-01 UTC, by the messages' timestamps.
    """
    asked = list(partitions)
    ends = end_offsets(consumer, asked, timeout_seconds=timeout_seconds, servers=servers)
    found = _list_offsets(consumer, asked, max(0, since_ms), timeout_seconds=timeout_seconds, servers=servers)
    return {at: ends[at] if offset == _NO_OFFSET else offset for at, offset in found.items()}


def _list_offsets(
    consumer: Any, partitions: Iterable[TopicPartition], timestamp: int, *, timeout_seconds: float, servers: object
) -> dict[TopicPartition, int]:
    wanted = [ClientTopicPartition(topic, number, timestamp) for topic, number in partitions]

    def ask() -> dict[TopicPartition, int]:
        answers = consumer.offsets_for_times(wanted, timeout=timeout_seconds)
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return {TopicPartition(answer.topic, answer.partition): answer.offset for answer in answers}

    try:
        return _retrying(timeout_seconds)(ask)
    except KafkaException as error:
        topics = ", ".join(sorted({one.topic for one in wanted}))
        raise translate_error(error, "read", topic=topics, servers=servers) from error


def _retrying(timeout_seconds: float) -> Retrying:
    """Repeats a request for ``timeout_seconds`` while it fails for a transient reason."""

    def passes(error: BaseException) -> bool:
        return isinstance(error, KafkaException) and classify_error(kafka_error(error)) in _PASSES

    return Retrying(
        retry=retry_if_exception(passes),
        stop=stop_after_delay(timeout_seconds),
        wait=wait_fixed(END_OFFSETS_SECONDS),
        reraise=True,
    )
