"""The outbox: where alerts are kept between Kafka and the receivers. What it promises, without how."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cardwatch_notifier.alerts import Alert
from cardwatch_notifier.transitions import Verdict


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of one topic.

    Attributes:
        topic_id: the broker's identity of the topic: a topic that was deleted and made anew is another one, whose
            offsets start again.
    """

    topic: str
    topic_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message from Kafka: an alert, or None where the message was refused and only its offset counts."""

    partition: Partition
    offset: int
    alert: Alert | None


@dataclass(frozen=True, slots=True)
class Message:
    """What receivers are told.

    Attributes:
        sequence: grows with each message; the order in which an alert's messages are delivered.
        body: JSON text, the same on every retry.
        created_at, event_time, raw_broker_time, detected_at: microseconds since 1970-01-01 UTC.
    """

    sequence: int
    message_id: str
    alert_id: str
    body: str
    created_at: int
    event_time: int
    raw_broker_time: int
    detected_at: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that is due at a receiver.

    Attributes:
        attempts: how often it was tried so far.
        rejections: how many of those the receiver answered with a refusal that a retry seldom cures.
    """

    message: Message
    attempts: int
    rejections: int


class DeliveryState(StrEnum):
    """Where a delivery stands.

    ``failed`` was given up: it is kept, and delivered after ``outbox retry``. Later messages of the same alert wait
    behind it, so that a receiver never sees an alert retracted before it was raised.
    """

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt to deliver.

    Attributes:
        state: the delivery's new state.
        at: when the attempt ended, microseconds since 1970-01-01 UTC.
        next_attempt_at: when to try again, same unit; for ``pending`` only.
        rejected: whether it counts as a rejection.
        counted: False where the attempt does not count (the receiver is gone for good).
        error: one sentence, empty when delivered.
    """

    sequence: int
    state: DeliveryState
    at: int
    next_attempt_at: int = 0
    rejected: bool = False
    counted: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True)
class Backlog:
    """One receiver's deliveries by state.

    Attributes:
        delivered: how many it has had, removed ones included.
        oldest_pending_at: when the oldest undelivered message came, microseconds since 1970-01-01 UTC, or None.
        disabled_reason: why nothing is sent to it, or empty.
    """

    receiver: str
    pending: int
    delivered: int
    failed: int
    oldest_pending_at: int | None
    disabled_reason: str


class Outbox(Protocol):
    """What the notifier needs of an outbox. Every method is atomic and durable when it returns, and thread-safe."""

    def instance_id(self) -> str:
        """An identity that stays with this outbox over restarts."""

    def positions(self) -> Mapping[Partition, int]:
        """The next offset of each partition that has not been accepted yet."""

    def accept(self, arrivals: Sequence[Arrival], receivers: Iterable[str], now: int) -> list[Verdict]:
        """Take alerts in: their state, a delivery to each receiver where they are news, and the next offsets.

        All of it or nothing. Arrivals whose offset was accepted before are left out.

        Returns:
            What each newly accepted alert amounts to.
        """

    def due(self, receiver: str, now: int, limit: int) -> list[Delivery]:
        """Deliveries whose time has come, earliest first, at most one an alert: its first undelivered message."""

    def next_due_at(self, receiver: str, now: int) -> int | None:
        """The earliest time after ``now`` at which a delivery of the receiver is due, or None."""

    def record(self, receiver: str, attempts: Sequence[Attempt]) -> None:
        """Keep what came of deliveries."""

    def disable(self, receiver: str, reason: str, now: int) -> None:
        """Send nothing more to a receiver until it is enabled; what is due to it stays pending."""

    def disabled_reason(self, receiver: str) -> str:
        """Why a receiver is disabled, or empty."""

    def attach(self, receiver: str, target: str, now: int) -> None:
        """Say where a receiver's messages go (a fingerprint). Another target than before enables it again."""

    def retry(self, receiver: str | None, now: int) -> int:
        """Make failed deliveries due now and enable disabled receivers; all receivers for None. Returns how many."""

    def backlog(self) -> list[Backlog]:
        """Every receiver's deliveries by state."""

    def prune(self, before: int) -> int:
        """Remove messages from before a time that every receiver has; what is known of alerts stays. How many."""

    def close(self) -> None:
        """Close it."""
