"""Where alerts come from: a Kafka topic, read from the offsets that the outbox keeps."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from cardwatch_kafka.configuration import KafkaConfig, consumer_config
from cardwatch_kafka.group_consumer import ConsumedMessage, OffsetsUnavailableError
from cardwatch_kafka.messages import TopicPartition
from cardwatch_service.metrics import Metrics

from cardwatch_notifier.outbox.protocol import Outbox, OutboxUnavailableError

_SETTINGS: Final[KafkaConfig] = {
    "partition.assignment.strategy": "range",
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 2000,
    # The broker answers a waiting fetch as soon as an alert arrives. This limits how long a fetch that finds nothing
    # waits, and with it the delay for a partition that is assigned in the meantime.
    "fetch.wait.max.ms": 100,
    "fetch.error.backoff.ms": 100,
    "reconnect.backoff.max.ms": 2000,
}


class Source(Protocol):
    """What the intake needs of a log of alerts; ``cardwatch_kafka.group_consumer.GroupConsumer`` is one."""

    @property
    def assigned(self) -> bool:
        """Whether it has been given its partitions, even if none, and knows where to begin."""

    def poll(self, timeout_seconds: float) -> list[ConsumedMessage]:
        """The next messages: as soon as there is one, all that have come; empty after the timeout."""

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit the next offsets to the broker. Only monitoring reads them: the outbox decides where to continue."""

    def rewind(self) -> None:
        """Continue from the outbox's positions, even if they lie before what was already read."""

    def close(self) -> None:
        """Commit, and leave the group."""


def source_config(connection: KafkaConfig, group: str, member: str | None) -> dict[str, object]:
    """The settings of the consumer that reads alerts.

    Args:
        member: for a notifier that has the outbox to itself, the outbox's identity. As a static member of the group, a
            notifier that was killed gets its partitions back as soon as it is restarted, without waiting until the
            session of the killed process times out. None for notifiers that share an outbox: there the others take over
            the partitions.
    """
    membership = {} if member is None else {"group.instance.id": f"{group}-{member}"}
    return consumer_config(connection, group, {**_SETTINGS, **membership})


def outbox_offsets(outbox: Outbox, topic_id: str, metrics: Metrics) -> Callable[[], Mapping[TopicPartition, int]]:
    """Reads the next offsets of a topic from the outbox; those of another topic of the same name do not count.

    The function raises OffsetsUnavailableError while the outbox does not answer.
    """

    def read() -> dict[TopicPartition, int]:
        try:
            positions = outbox.positions()
        except OutboxUnavailableError as error:
            metrics.errors.labels("outbox").inc()
            raise OffsetsUnavailableError(str(error)) from error
        return {
            TopicPartition(place.topic, place.number): offset
            for place, offset in positions.items()
            if place.topic_id == topic_id
        }

    return read
