"""The protocol of a receiver, which takes one message at a time, and the outcomes of a delivery."""

from dataclasses import dataclass
from typing import Protocol

from cardwatch_notifier.outbox.protocol import Message


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """A failure that is probably transient.

    Attributes:
        why: one sentence, or a part of one.
        after_seconds: how long the receiver asked not to be called, or None.
    """

    why: str
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The receiver rejects this message; a retry cannot succeed until somebody fixes the cause."""

    why: str
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver wants no message ever again."""

    why: str


Outcome = Delivered | TryAgain | Rejected | Gone


class Receiver(Protocol):
    """Takes messages. ``deliver`` is called from ``concurrency`` threads at once."""

    @property
    def name(self) -> str:
        """Unique in a deployment; label of metrics, key in the outbox."""

    @property
    def target(self) -> str:
        """Fingerprint of where messages go; holds no secret."""

    @property
    def concurrency(self) -> int:
        """How many messages it takes at the same time."""

    @property
    def deadline_seconds(self) -> float:
        """How long ``deliver`` may take; the notifier is unhealthy if it takes clearly longer."""

    def deliver(self, message: Message) -> Outcome:
        """Deliver one message. Network and server failures are outcomes, not exceptions."""

    def close(self) -> None:
        """Close connections."""
