"""Positions: for each partition the next offset that is not safely processed yet. What is committed, and nothing else.

Faust's own acknowledgement is off (``acks=False`` on the channel): it acknowledges a batch when its generator closes,
whether that was published or not, and messages that it skips during a rebalance. Here a position moves only after every
message before it has been published.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cardwatch_enricher.message import RawMessage


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


class Positions:
    """The positions of the partitions that this member has."""

    def __init__(self) -> None:
        self._next: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}

    def start(self, partition: Partition, committed: int) -> None:
        """A partition was given to this member, which reads it from its committed offset on."""
        self._committed[partition] = committed
        self._next.setdefault(partition, committed)

    def keep_only(self, assigned: Iterable[Partition]) -> list[Partition]:
        """Forget partitions that were taken away; returns them."""
        gone = [partition for partition in self._next if partition not in set(assigned)]
        for partition in gone:
            self._next.pop(partition)
            self._committed.pop(partition, None)
        return gone

    def advance(self, processed: Iterable[RawMessage]) -> None:
        """Every one of these messages, and each before it in its partition, is published."""
        for message in processed:
            partition = Partition(message.topic, message.partition)
            self._next[partition] = max(self._next.get(partition, 0), message.offset + 1)

    def to_commit(self) -> dict[Partition, int]:
        """The positions that are not committed yet."""
        return {
            partition: offset for partition, offset in self._next.items() if self._committed.get(partition) != offset
        }

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """These were committed."""
        self._committed.update(offsets)

    def all(self) -> dict[Partition, int]:
        """Every position known."""
        return dict(self._next)

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._committed
