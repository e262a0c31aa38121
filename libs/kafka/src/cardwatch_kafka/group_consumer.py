"""A member of a consumer group that reads one topic from offsets which another store keeps.

The store, a database that takes the messages and their offsets in one transaction, decides where to read on. Offsets
are committed to the broker as well: monitoring tools show them, and they are where reading begins in a partition that
the store has no position of.

    assigned ──► positions of the store known? ──no──► assigned but not read; asked again at every poll
                    │yes
                    ▼
                 read from there; if the store has no position: the group's committed offset,
                    │  else the first message
                    │
                 not there any more ──► ``LostOffsets``: stop, or go on with the first message and count

Where reading begins is committed at once: a partition without traffic, too, then shows the lag that it has (none).
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from cardwatch_contracts.errors import CardwatchError
from cardwatch_service.logs import get_logger
from cardwatch_service.metrics import Metrics
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import Message as ClientMessage
from confluent_kafka import TopicPartition as ClientTopicPartition

from cardwatch_kafka.configuration import CLIENT_LOGGER
from cardwatch_kafka.errors import KafkaClientError, kafka_error
from cardwatch_kafka.lost_offsets import LostOffsets, LostOffsetsError, OffsetBounds
from cardwatch_kafka.messages import ReceivedMessage, TopicPartition
from cardwatch_kafka.polling import poll_messages, received_message

log = get_logger(__name__)

_MESSAGES_PER_POLL: Final = 500
# Short: it is also how long a stop may have to wait.
_REQUEST_SECONDS: Final = 4.0
_LAG_INTERVAL_SECONDS: Final = 1.0

StoredOffsets = Callable[[], Mapping[TopicPartition, int]]


class OffsetsUnavailableError(CardwatchError):
    """The store of the offsets does not answer now; nothing may be read."""


class ConsumedMessage(NamedTuple):
    """A message and what was read before it.

    Attributes:
        previous_end: the offset after the message that was read before it in its partition, or else the store's offset
            at which reading began; 0 where the store had none. The offsets between it and this message have no message.
    """

    message: ReceivedMessage
    previous_end: int


class GroupConsumer:
    """Reads one topic in a consumer group, from the stored positions. Not for several threads."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        positions: StoredOffsets,
        metrics: Metrics,
        lost_offsets: LostOffsets,
        *,
        make_client: Callable[..., Any] = Consumer,
    ) -> None:
        """Join the group; partitions come with the first polls.

        Args:
            config: as ``configuration.consumer_config`` returns it, with ``group.instance.id`` for a static member.
            positions: the store's next offsets, asked at every assignment. It raises OffsetsUnavailableError while
                the store does not answer.
            metrics: shows position and lag of each assigned partition.
            lost_offsets: decides where to begin where the next offset is not there any more.
            make_client: creates the client; tests pass a fake.
        """
        self._topic: Final = topic
        self._positions: Final = positions
        self._metrics: Final = metrics
        self._lost_offsets: Final = lost_offsets
        self._failure: LostOffsetsError | None = None  # raised inside a callback; re-raised by poll
        self._next: dict[int, int] = {}  # per partition: after the last message that is processed
        self._read: dict[int, int] = {}  # per partition that is read: after the last message that was returned
        self._without_start_offset: list[ClientTopicPartition] = []  # assigned, but where to begin is not known yet
        self._lag_at = 0.0
        self._assigned = False
        # An offset that is gone is an error, which `_consumed` takes: the client must not choose another one by itself.
        own = {**config, "auto.offset.reset": "error", "error_cb": self._on_error}
        self._client: Final = make_client(own, logger=CLIENT_LOGGER)
        self._client.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    @property
    def assigned(self) -> bool:
        """Whether it has been given its partitions, even if none, and knows where to begin."""
        return self._assigned and not self._without_start_offset

    def poll(self, timeout_seconds: float) -> list[ConsumedMessage]:
        """The next messages: as soon as there is one, all that have come; empty after the timeout.

        Raises:
            KafkaClientError: the client can never read again.
            LostOffsetsError: the broker has deleted messages before they were read.
        """
        if self._without_start_offset:
            self._start_reading()
        messages = poll_messages(self._client, timeout_seconds, _MESSAGES_PER_POLL)
        if self._failure is not None:
            raise self._failure
        consumed = [one for message in messages if (one := self._consumed(message)) is not None]
        self._observe_lag()  # only now: it needs to know which messages are still being processed
        return consumed

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit the next offsets to the broker: for monitoring, and as the start where the store has no position."""
        # Another member reports a partition that was revoked while its messages were processed.
        offsets = {at.partition: offset for at, offset in positions.items() if at.partition in self._read}
        self._next.update(offsets)
        for partition, offset in offsets.items():
            self._metrics.position.labels(self._topic, str(partition)).set(offset)
        self._commit(offsets)
        self._observe_lag()

    def rewind(self) -> None:
        """Continue from the stored positions, even if they lie before what was already read."""
        self._without_start_offset = self._client.assignment()
        self._read.clear()
        self._next.clear()
        self._client.assign([])

    def close(self) -> None:
        """Commit, and leave the group."""
        self._commit(self._next, wait=True)
        self._client.close()

    def _commit(self, positions: Mapping[int, int], *, wait: bool = False) -> None:
        offsets = [ClientTopicPartition(self._topic, partition, offset) for partition, offset in positions.items()]
        if not offsets:
            return
        try:
            self._client.commit(offsets=offsets, asynchronous=not wait)
        except KafkaException as error:
            self._metrics.errors.labels("offset_commit").inc()
            log.warning("offsets not committed; the store has them", reason=kafka_error(error).str())

    def _consumed(self, message: ClientMessage) -> ConsumedMessage | None:
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._AUTO_OFFSET_RESET:
                # The store's offsets say whether anything is lost: what was read after them is repeated.
                self.rewind()
                return None
            self._on_error(error)
            if error.fatal():
                raise KafkaClientError(
                    f"reading {self._topic} ended: {error.str()}; check whether another member of the consumer group "
                    "runs with the same group.instance.id",
                    error.code(),
                )
            return None
        received = received_message(message)
        previous_end = self._read.get(received.partition, 0)
        self._read[received.partition] = received.offset + 1
        return ConsumedMessage(received, previous_end)

    def _on_assign(self, client: Any, partitions: list[ClientTopicPartition]) -> None:
        self._assigned = True
        self._without_start_offset = list(partitions)
        self._start_reading()
        if self._without_start_offset:
            client.assign([])  # otherwise librdkafka would begin where the group has committed

    def _start_reading(self) -> None:
        """Begin to read the assigned partitions; they wait while the store or the broker does not say where."""
        try:
            stored = self._positions()
            bounds = self._bounds()
            starts = self._starts(stored, bounds)
        except OffsetsUnavailableError as error:
            log.warning("not reading yet", reason=str(error))
            return
        except KafkaException as error:
            self._on_error(kafka_error(error))
            return
        except LostOffsetsError as error:
            self._failure = error
            return
        partitions, self._without_start_offset = self._without_start_offset, []
        for partition in partitions:
            place = TopicPartition(self._topic, partition.partition)
            partition.offset = starts[place]
            self._read[partition.partition] = stored.get(place, 0)
            self._show_start(place, starts[place], bounds[place])
        self._client.assign(partitions)
        self._commit({partition.partition: partition.offset for partition in partitions})
        log.info("partitions assigned", topic=self._topic, partitions=[partition.partition for partition in partitions])

    def _bounds(self) -> dict[TopicPartition, OffsetBounds]:
        """The offsets that the broker has of each partition that waits for its start.

        Raises:
            KafkaException: the broker does not answer.
        """
        return {
            TopicPartition(self._topic, partition.partition): OffsetBounds(
                *self._client.get_watermark_offsets(partition, timeout=_REQUEST_SECONDS)
            )
            for partition in self._without_start_offset
        }

    def _starts(
        self, stored: Mapping[TopicPartition, int], bounds: Mapping[TopicPartition, OffsetBounds]
    ) -> dict[TopicPartition, int]:
        """The offset from which to read each partition that waits for it.

        Raises:
            KafkaException: the broker does not answer.
            LostOffsetsError: the messages from there on were deleted.
        """
        committed = self._client.committed(self._without_start_offset, timeout=_REQUEST_SECONDS)
        next_offsets: dict[TopicPartition, int | None] = {}
        for one in committed:
            place = TopicPartition(self._topic, one.partition)
            next_offsets[place] = stored.get(place, one.offset if one.offset >= 0 else None)
        return self._lost_offsets.starting_offsets(next_offsets, bounds)

    def _show_start(self, place: TopicPartition, start: int, bounds: OffsetBounds) -> None:
        """Show the position before the first message; after ``rewind`` the position is known already."""
        if place.partition in self._next:
            return
        labels = (place.topic, str(place.partition))
        self._metrics.position.labels(*labels).set(start)
        self._metrics.lag.labels(*labels).set(max(0, bounds.end - start))
        self._next[place.partition] = start

    def _on_revoke(self, _client: Any, partitions: list[ClientTopicPartition]) -> None:
        self._assigned = False
        self._without_start_offset = []
        for partition in partitions:
            self._read.pop(partition.partition, None)
            self._next.pop(partition.partition, None)
            for gauge in (self._metrics.position, self._metrics.lag):
                # Another member reports them from now on.
                gauge.remove(partition.topic, str(partition.partition))

    def _observe_lag(self) -> None:
        now = time.monotonic()
        if now - self._lag_at < _LAG_INTERVAL_SECONDS:
            return
        self._lag_at = now
        for partition, position in self._next.items():
            place = ClientTopicPartition(self._topic, partition)
            offsets = self._client.get_watermark_offsets(place, cached=True)
            reached = self._reached(place, position)
            self._metrics.position.labels(self._topic, str(partition)).set(reached)
            if offsets is not None and offsets[1] >= 0:
                self._metrics.lag.labels(self._topic, str(partition)).set(max(0, offsets[1] - reached))

    def _reached(self, place: ClientTopicPartition, position: int) -> int:
        """The offset up to which there is nothing left to process.

        After the last message there may be offsets without a message (of an aborted transaction, or of a transaction's
        marker): the client has passed them if no message that it returned is still being processed.
        """
        if self._read.get(place.partition, 0) > position:
            return position
        return max(position, int(self._client.position([place])[0].offset))

    def _on_error(self, error: KafkaError) -> None:
        self._metrics.errors.labels("kafka").inc()
        log.warning("kafka", reason=error.str())
