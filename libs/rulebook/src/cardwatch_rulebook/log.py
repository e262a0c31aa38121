"""A topic of one partition as a log, behind interfaces as narrow as their users need. Tests use fakes."""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_kafka.topic_follower import FollowedBatch

_MAX_BATCH_MESSAGES: Final = 1_000


class Log(Protocol):
    """A topic that is read to its current end and appended to."""

    def read(self) -> Iterator[Sequence[ReceivedMessage]]:
        """The messages that were appended since the last ``read`` (at first: all), up to the current end of the topic.

        They come in batches of bounded size, and include what this log itself has appended before. A batch counts as
        read once the next one is asked for: after an error the next ``read`` begins with the same batch.

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


class LogWithCopies:
    """A log that begins with messages that were copied from it earlier, and goes on with those that came later.

    A message that is no longer in the topic is read from its copy.
    """

    def __init__(self, log: Log, copies: Sequence[ReceivedMessage]) -> None:
        """``copies`` are in the order of the topic."""
        self._log: Final = log
        self._copies = list(copies)
        self._last_copied: Final = max((copy.offset for copy in copies), default=-1)

    def read(self) -> Iterator[Sequence[ReceivedMessage]]:
        """As ``Log.read``."""
        newer = self._log.read()
        while self._copies:
            yield self._copies[:_MAX_BATCH_MESSAGES]
            del self._copies[:_MAX_BATCH_MESSAGES]
        for batch in newer:
            yield [message for message in batch if message.offset > self._last_copied]

    def append(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """As ``Log.append``."""
        self._log.append(messages)

    def close(self) -> None:
        """As ``Log.close``."""
        self._log.close()


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
