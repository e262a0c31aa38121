"""Commits offsets: of each partition the next offset to process, and nothing else.

Faust's own acknowledgement is off (``acks=False`` on the channel): it acknowledges a batch when its generator closes,
whether that was published or not, and messages that it skips during a rebalance. Here an offset advances only after
every message before it has been published.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cardwatch_kafka.messages import ReceivedMessage, TopicPartition
from cardwatch_service import logs
from cardwatch_service.metrics import Metrics

from cardwatch_enricher.internals import ConsumerThread

log = logs.get_logger(__name__)


class ProcessedOffsets:
    """For each partition that is assigned to this member: the next offset to process, and the committed one."""

    def __init__(self) -> None:
        self._next: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    def start(self, partition: TopicPartition, committed: int) -> None:
        """A partition was assigned to this member, which reads it from its committed offset on."""
        self._committed[partition] = committed
        self._next.setdefault(partition, committed)

    def keep_only(self, assigned: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Forget the partitions that were revoked, and return them."""
        revoked = [partition for partition in self._next if partition not in set(assigned)]
        for partition in revoked:
            self._next.pop(partition)
            self._committed.pop(partition, None)
        return revoked

    def advance(self, processed: Iterable[ReceivedMessage]) -> None:
        """Each of these messages, and every one before it in its partition, is published."""
        for message in processed:
            partition = message.topic_partition
            self._next[partition] = max(self._next.get(partition, 0), message.offset + 1)

    def to_commit(self) -> dict[TopicPartition, int]:
        """The offsets that are not committed yet."""
        return {
            partition: offset for partition, offset in self._next.items() if self._committed.get(partition) != offset
        }

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """These offsets were committed."""
        self._committed.update(offsets)

    def all(self) -> dict[TopicPartition, int]:
        """The next offset of every partition."""
        return dict(self._next)

    def __contains__(self, partition: TopicPartition) -> bool:
        return partition in self._committed


class OffsetCommitter:
    """Commits what is published, and shows the offsets in the metrics."""

    def __init__(self, thread: Callable[[], ConsumerThread], metrics: Metrics) -> None:
        """``thread``: the thread of the running consumer."""
        self._thread: Final = thread
        self._metrics: Final = metrics
        self._offsets: Final = ProcessedOffsets()

    def advance(self, processed: Iterable[ReceivedMessage]) -> None:
        """Each of these messages, and every one before it in its partition, is published."""
        self._offsets.advance(processed)

    def keep_only(self, assigned: Iterable[TopicPartition]) -> None:
        """Forget the partitions that were revoked."""
        self._remove_gauges(self._offsets.keep_only(assigned))

    def remove_gauges(self) -> None:
        """Show no partition any more: the consumer has stopped."""
        self._remove_gauges(list(self._offsets.all()))

    def reached(self) -> dict[TopicPartition, int]:
        """For each partition of this member, the offset up to which there is nothing left to process."""
        thread = self._thread()
        assigned = thread.partitions()
        return {
            partition: thread.reached(partition, next_offset)
            for partition, next_offset in self._offsets.all().items()
            if partition in assigned
        }

    async def commit(self) -> None:
        """Commit the offsets that advanced. A failure is survived: the next commit makes up for it."""
        try:
            thread = self._thread()
            assigned = thread.partitions()
            for partition in assigned:
                if partition not in self._offsets:
                    self._offsets.start(partition, await thread.committed_or_first(partition))
            offsets = {
                partition: offset for partition, offset in self._offsets.to_commit().items() if partition in assigned
            }
            if offsets:
                await thread.commit_offsets(offsets)
                self._offsets.committed(offsets)
            self._set_gauges(thread)
        except Exception as error:  # noqa: BLE001  # a rebalance, or a broker that is away
            self._metrics.errors.labels("commit_failed").inc()
            log.warning("offsets could not be committed; trying again", error=str(error) or type(error).__name__)

    def _set_gauges(self, thread: ConsumerThread) -> None:
        for partition, reached in self.reached().items():
            labels = (partition.topic, str(partition.partition))
            self._metrics.position.labels(*labels).set(reached)
            end = thread.end_offset(partition)
            if end is not None:
                self._metrics.lag.labels(*labels).set(max(0, end - reached))

    def _remove_gauges(self, partitions: list[TopicPartition]) -> None:
        """Another member reports these partitions from now on."""
        for partition in partitions:
            for gauge in (self._metrics.position, self._metrics.lag):
                try:
                    gauge.remove(partition.topic, str(partition.partition))
                except KeyError:
                    continue
