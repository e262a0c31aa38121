"""Messages and their positions: the types that all readers and writers of Kafka share, independent of the client.

They are named tuples because one is created for each message, in services that handle thousands per second.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

Headers = Sequence[tuple[str, bytes | None]]

ANY_PARTITION: Final = -1


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
        broker_time: when the broker appended it, in microseconds since 1970-01-01 UTC; None if the topic keeps no time.
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
