"""A topic of one partition as a log, behind interfaces as narrow as their users need. Tests use fakes."""

from collections.abc import Sequence
from typing import Protocol

from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_kafka.topic_follower import FollowedBatch


class Log(Protocol):
    """A topic that is read to its current end and appended to."""

    def read(self) -> list[ReceivedMessage]:
        """The messages that were appended since the last ``read`` (at first: all), up to the current end of the topic.

        It includes what this log itself has appended before.

        Raises:
            CardwatchError: the broker does not answer, or has no such topic.
        """

    def append(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Append keys and values, in order, and wait until the broker has them.

        Raises:
            CardwatchError: the broker does not take them. Whether some of them are there is then unknown.
        """

    def close(self) -> None:
        """Disconnect."""


class BackgroundWriter(Protocol):
    """A topic that is written to without waiting for acknowledgements."""

    def write(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Queue keys and values; they are sent in the background, after an outage too. Refused ones are logged."""

    def close(self) -> None:
        """Wait a few seconds for the messages that are not acknowledged yet, and disconnect."""


class Feed(Protocol):
    """Topics that are read from the beginning and then followed. For one thread."""

    @property
    def topics(self) -> frozenset[str]:
        """The topics that are followed."""

    def poll(self, timeout_seconds: float) -> FollowedBatch:
        """The messages that have arrived, as soon as there is one; an empty batch after the timeout. Outages raise
        nothing.
        """

    def close(self) -> None:
        """Disconnect."""
