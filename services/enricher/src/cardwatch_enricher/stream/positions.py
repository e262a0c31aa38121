"""Positions: the next offset to process in each partition. ``application`` commits these offsets and no others.

Faust's own acknowledgement is off (``acks=False`` on the channel): it acknowledges a batch when its generator closes,
whether that was published or not, and messages that it skips during a rebalance. Here a position moves only after every
message before it has been published.
"""

from collections.abc import Iterable, Mapping

from cardwatch_kafka.messages import ReceivedMessage, TopicPartition


class Positions:
    """The positions of the partitions that are assigned to this member."""

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
        """The positions that are not committed yet."""
        return {
            partition: offset for partition, offset in self._next.items() if self._committed.get(partition) != offset
        }

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """These offsets were committed."""
        self._committed.update(offsets)

    def all(self) -> dict[TopicPartition, int]:
        """The position of every partition."""
        return dict(self._next)

    def __contains__(self, partition: TopicPartition) -> bool:
        return partition in self._committed
