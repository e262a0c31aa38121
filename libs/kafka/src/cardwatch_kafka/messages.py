"""Messages and their positions: the types that all readers and writers of Kafka share, independent of the client.

They are named tuples because one is created for each message, in services that handle thousands per second.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from cardwatch_units.timestamps import MICROSECONDS_PER_MILLISECOND

Headers = Sequence[tuple[str, bytes | None]]

ANY_PARTITION: Final = -1

# 9999-01-01T00:00:00Z: a year before the last time that Python's datetime and others can hold.
_MAX_BROKER_MILLISECONDS: Final = 253_370_764_800_000


class TopicPartition(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int


class OutgoingMessage(NamedTuple):
    """A message to publish.

    Attributes:
        topic: the topic's full name, the deployment's prefix included.
        partition: which one; by default the partitioner chooses it by the key.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int = ANY_PARTITION


class ReceivedMessage(NamedTuple):
    """A message as the broker keeps it.

    Attributes:
        broker_time: when the broker appended it, in microseconds since 1970-01-01 UTC; None if the topic keeps no time,
            or one that its producer made up. If the topic keeps producers' times (``CreateTime``), that time, but no
            later than when the message was read: see ``broker_time_from``.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    broker_time: int | None = None

    @property
    def topic_partition(self) -> TopicPartition:
        """The partition that the message is in."""
        return TopicPartition(self.topic, self.partition)


def broker_time_from(milliseconds: int, *, read_at: int | None = None) -> int | None:
    """A message's timestamp in microseconds since 1970-01-01 UTC; None for one before 1970 or after the year 9998.

    On a topic with ``CreateTime`` the timestamp is whatever the producer wrote: any number of 64 bits, -1 for none.
    Such a time does not count beyond the reader's own clock: no producer can make the future begin later.

    Args:
        read_at: for a timestamp that the producer set, when the message was read, in microseconds since 1970-01-01 UTC;
            None for one that the broker set.
    """
    if not 0 <= milliseconds <= _MAX_BROKER_MILLISECONDS:
        return None
    time = milliseconds * MICROSECONDS_PER_MILLISECOND
    return time if read_at is None else min(time, read_at)
