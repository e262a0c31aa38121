"""A topic of one partition as a log, behind interfaces as narrow as their users need. Tests use fakes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One message."""

    topic: str
    offset: int
    key: bytes | None
    value: bytes | None


class Log(Protocol):
    """A topic that is read up to where it ends and written to."""

    def read(self) -> list[Entry]:
        """What was appended since the last ``read`` (at first: everything), up to where the topic ends now.

        What this log itself has appended before is always among it.

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


class Outbox(Protocol):
    """A topic that is written to without waiting."""

    def post(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Hand over keys and values; what the broker refuses is logged, and an outage is waited for elsewhere."""

    def close(self) -> None:
        """Wait a moment for what is on its way."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What following topics brought.

    Attributes:
        entries: messages, in order within a topic.
        at_end: topics whose end was reached; a topic is named anew each time.
        problem: one sentence, where there is one: what is wrong with the connection.
    """

    entries: tuple[Entry, ...] = ()
    at_end: frozenset[str] = field(default_factory=frozenset)
    problem: str = ""


class Feed(Protocol):
    """Topics that are read from the beginning and then followed. For one thread."""

    @property
    def topics(self) -> frozenset[str]:
        """Which topics."""

    def poll(self, timeout_seconds: float) -> Batch:
        """What came, as soon as something comes; an empty batch after ``timeout_seconds``. Outages raise nothing."""

    def close(self) -> None:
        """Disconnect."""
