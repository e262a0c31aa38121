"""Where alerts come from: a Kafka topic, from the offset that the outbox says is next."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cardwatch_contracts.errors import CardwatchError
from cardwatch_kafka.configuration import KafkaConfig
from cardwatch_service.logs import get as get_logger
from cardwatch_service.metrics import Metrics
from confluent_kafka import (
    OFFSET_INVALID,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from cardwatch_notifier.outbox.protocol import OutboxUnavailableError, Partition

log = get_logger(__name__)

_BATCH: Final = 500
# Short: it is also how long a stop may have to wait.
_TIMEOUT_SECONDS: Final = 4.0
_LAG_INTERVAL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as it came.

    Attributes:
        broker_time: when the broker appended it, microseconds since 1970-01-01 UTC, or None.
        follows: the offset after the message that was read before it, or that reading began at by the outbox; 0 where
            the outbox knew none.
    """

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    broker_time: int | None
    follows: int = 0


class Source(Protocol):
    """What the notifier needs of a log of alerts."""

    @property
    def assigned(self) -> bool:
        """Whether it has been given its partitions, be it none, and knows where to begin."""

    def poll(self, timeout_seconds: float) -> list[RawMessage]:
        """The next messages: as soon as there is one, all that are there; empty after the timeout."""

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the broker the next offsets. For its own and other tools' eyes: the outbox is what counts."""

    def rewind(self) -> None:
        """Read on from the outbox's positions, whatever was read before."""

    def close(self) -> None:
        """Leave."""


class KafkaSource:
    """Reads one topic in a consumer group, with the offsets of the outbox.

    Args:
        member: for a notifier that has the outbox to itself, the outbox's identity. As a static member of the group it
            takes its partitions back as soon as it is there again after a kill, without waiting for the session of its
            former self to time out. None for those that share an outbox: the partitions go to the others then.
        positions: the outbox's next offsets, asked at every assignment. Nothing is read while they are not to be had.
    """

    def __init__(
        self,
        kafka_config: KafkaConfig,
        topic: str,
        topic_id: str,
        group: str,
        member: str | None,
        positions: Callable[[], Mapping[Partition, int]],
        metrics: Metrics,
    ) -> None:
        self._topic = topic
        self._topic_id = topic_id
        self._positions = positions
        self._metrics = metrics
        self._next: dict[Partition, int] = {}
        self._read: dict[Partition, int] = {}  # of the partitions that are being read: RawMessage.follows of the next
        self._unplaced: list[TopicPartition] = []  # assigned, but where to begin is not known yet
        self._lag_at = 0.0
        self._assigned = False
        self._unobserved: list[TopicPartition] = []
        config: dict[str, Any] = {
            **kafka_config,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 2000,
            # An alert is answered to a waiting fetch at once; this bounds the wait of a fetch that finds nothing, and
            # with it the delay of a partition that joins while one is waiting.
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 100,
            "reconnect.backoff.max.ms": 2000,
            "error_cb": self._on_error,
        }
        if member is not None:
            config["group.instance.id"] = f"{group}-{member}"
        self._consumer = Consumer(config, logger=logging.getLogger("librdkafka"))
        self._consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    @property
    def assigned(self) -> bool:
        return self._assigned and not self._unplaced

    def poll(self, timeout_seconds: float) -> list[RawMessage]:
        if self._unplaced:
            self._place()
        first = self._consumer.poll(timeout_seconds)
        messages: list[Message] = []
        if first is not None:
            # consume() waits until it has all it was asked for: with no timeout it takes what is already here.
            messages = [first, *self._consumer.consume(_BATCH - 1, 0)]
        self._observe_lag()
        return [raw for message in messages if (raw := self._raw(message)) is not None]

    def commit(self, positions: Mapping[Partition, int]) -> None:
        # One that was taken away while its messages were under way is another reader's to speak of.
        positions = {partition: offset for partition, offset in positions.items() if partition in self._read}
        self._next.update(positions)
        for partition, offset in positions.items():
            self._metrics.position.labels(partition.topic, str(partition.number)).set(offset)
        self._commit(positions)
        self._observe_lag()

    def rewind(self) -> None:
        self._unplaced = self._consumer.assignment()
        self._read.clear()
        self._next.clear()
        self._consumer.assign([])

    def close(self) -> None:
        self._commit(self._next, wait=True)
        self._consumer.close()

    def _commit(self, positions: Mapping[Partition, int], *, wait: bool = False) -> None:
        offsets = [TopicPartition(partition.topic, partition.number, offset) for partition, offset in positions.items()]
        if not offsets:
            return
        try:
            if wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._metrics.errors.labels("offset_commit").inc()
            log.warning("offsets not committed; the outbox has them", reason=error.args[0].str())

    def _raw(self, message: Message) -> RawMessage | None:
        error = message.error()
        if error is not None:
            self._on_error(error)
            if error.fatal():
                raise CardwatchError(
                    f"reading {self._topic} ended: {error.str()}; is another notifier of this group and outbox running?"
                )
            return None
        (kind, millis) = message.timestamp()
        headers: Any = message.headers() or []
        partition, offset, key, value = message.partition(), message.offset(), message.key(), message.value()
        assert partition is not None
        assert offset is not None
        place = Partition(self._topic, self._topic_id, partition)
        follows = self._read.get(place, 0)
        self._read[place] = offset + 1
        return RawMessage(
            partition=place,
            offset=offset,
            key=_bytes(key),
            value=_bytes(value),
            headers=[(str(name), _bytes(content)) for name, content in headers],
            broker_time=None if kind == TIMESTAMP_NOT_AVAILABLE else millis * 1000,
            follows=follows,
        )

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assigned = True
        self._unplaced = list(partitions)
        self._place()
        if self._unplaced:
            consumer.assign([])  # or librdkafka would begin where the group has committed

    def _place(self) -> None:
        """Begin to read the assigned partitions, unless the outbox does not say where: then not yet."""
        try:
            stored = self._positions()
        except OutboxUnavailableError as error:
            self._metrics.errors.labels("outbox").inc()
            log.warning("not reading yet", reason=str(error))
            return
        partitions, self._unplaced = self._unplaced, []
        for partition in partitions:
            position = stored.get(self._partition(partition))
            partition.offset = OFFSET_INVALID if position is None else position
            self._read[self._partition(partition)] = position or 0
        self._consumer.assign(partitions)
        self._unobserved = list(partitions)
        self._observe_start()
        log.info("partitions assigned", topic=self._topic, partitions=[partition.partition for partition in partitions])

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assigned = False
        self._unobserved = []
        self._unplaced = []
        for partition in partitions:
            self._read.pop(self._partition(partition), None)
            self._next.pop(self._partition(partition), None)
            for gauge in (self._metrics.position, self._metrics.lag):
                # Another replica shows them from now on.
                gauge.remove(partition.topic, str(partition.partition))

    def _observe_start(self) -> None:
        """Show the position before the first message: the outbox's, else the group's, else the topic's start."""
        partitions = [one for one in self._unobserved if self._partition(one) not in self._next]
        if not partitions:
            return
        try:
            committed = {
                (partition.topic, partition.partition): partition.offset
                for partition in self._consumer.committed(partitions, timeout=_TIMEOUT_SECONDS)
            }
            for partition in partitions:
                (low, high) = self._consumer.get_watermark_offsets(partition, timeout=_TIMEOUT_SECONDS) or (0, 0)
                start = partition.offset
                if start < 0:
                    start = committed[(partition.topic, partition.partition)]
                start = start if low <= start <= high else low
                labels = (partition.topic, str(partition.partition))
                self._metrics.position.labels(*labels).set(start)
                self._metrics.lag.labels(*labels).set(high - start)
                self._next[self._partition(partition)] = start
            self._unobserved = []
        except KafkaException as error:
            self._on_error(error.args[0])

    def _observe_lag(self) -> None:
        now = time.monotonic()
        if now - self._lag_at < _LAG_INTERVAL_SECONDS:
            return
        self._lag_at = now
        self._observe_start()
        for partition, position in self._next.items():
            offsets = self._consumer.get_watermark_offsets(
                TopicPartition(partition.topic, partition.number), cached=True
            )
            if offsets is not None and offsets[1] >= 0:
                self._metrics.lag.labels(partition.topic, str(partition.number)).set(max(0, offsets[1] - position))

    def _partition(self, partition: TopicPartition) -> Partition:
        return Partition(self._topic, self._topic_id, partition.partition)

    def _on_error(self, error: KafkaError) -> None:
        self._metrics.errors.labels("kafka").inc()
        log.warning("kafka", reason=error.str())


def topic_identity(kafka_config: KafkaConfig, topic: str) -> str:
    """The broker's identity of a topic.

    Raises:
        KafkaException: the broker does not answer.
        CardwatchError: there is no such topic.
    """
    admin = AdminClient({**kafka_config, "log_level": 2})
    future = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_SECONDS)[topic]
    try:
        return str(future.result().topic_id)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise CardwatchError(f"there is no topic {topic}: run `cardwatch schemas apply` first") from error
        raise


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
