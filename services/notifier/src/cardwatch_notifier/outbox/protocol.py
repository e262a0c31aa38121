"""The contract of an outbox, which keeps alerts between Kafka and the receivers. Its implementations are in ``sqlite``
and ``postgres``.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cardwatch_contracts.errors import CardwatchError

from cardwatch_notifier.alerts import Alert
from cardwatch_notifier.notified_state import Decision


class OutboxUnavailableError(CardwatchError):
    """The outbox does not answer at this moment. Nothing was lost: repeat the same call later.

    Whether the call took effect is unknown, and does not matter: repeating any call changes nothing more.
    """


class OutboxDataError(CardwatchError):
    """The outbox cannot hold a value of the batch. Nothing of the batch was accepted; repeating it would not help."""


class OutboxBehindError(CardwatchError):
    """The outbox lost what it had accepted: it was restored, or its database failed over without its last commits.

    Nothing of the batch was accepted. What the outbox lacks is still in Kafka: read on from ``positions``.
    """


@dataclass(frozen=True, slots=True)
class SourcePartition:
    """One partition of one topic.

    Attributes:
        topic_id: the broker's identity of the topic: a topic that was deleted and created again is another one, whose
            offsets start again.
    """

    topic: str
    topic_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message from Kafka: an alert, or None where the message was refused and only its offset counts.

    Attributes:
        previous_end: the offset up to which its reader had read before it, or 0 where it began without one. Up to
            there the outbox must have everything; between there and ``offset`` the topic has no message.
    """

    partition: SourcePartition
    offset: int
    alert: Alert | None
    previous_end: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """What receivers get.

    Attributes:
        sequence: grows with each message; the order in which an alert's messages are delivered.
        body: JSON text, the same on every retry.
        created_at, event_time, raw_broker_time, detected_at: microseconds since 1970-01-01 UTC.
        trace_context: the trace that the alert's event belongs to, W3C ``traceparent``, or None.
    """

    sequence: int
    message_id: str
    alert_id: str
    body: str
    created_at: int
    event_time: int
    raw_broker_time: int
    detected_at: int
    trace_context: str | None = None


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

    ``failed`` is parked: it is kept, and delivered after ``outbox retry``. Later messages of the same alert wait
    behind it, so that a receiver never sees an alert retracted before it was raised.
    """

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one attempt to deliver.

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
    """What the notifier needs of an outbox. Every method is atomic and durable when it returns, and thread-safe.

    Several notifiers may share one, if its implementation supports it. Each accepts the alerts of its own partitions,
    and any of them delivers. What one of them is delivering is *leased* to it: nobody else gets it until the result is
    recorded, the lease is released, or it has run out because its holder is gone.

    Raises:
        OutboxUnavailableError: from any method but ``lease_seconds``, ``problem`` and ``close``, where the outbox is a
            server that does not answer.
    """

    @property
    def lease_seconds(self) -> float:
        """How long a lease lasts unless it is renewed; infinite where nobody else could take over."""

    def problem(self) -> str:
        """Why it could not be used the last time, one sentence; empty where it could. Does not look again."""

    def instance_id(self) -> str:
        """An identity that stays with this outbox over restarts; notifiers that share it see the same."""

    def positions(self) -> Mapping[SourcePartition, int]:
        """The next offset of each partition that has not been accepted yet."""

    def accept(self, arrivals: Sequence[Arrival], receivers: Iterable[str], now: int) -> list[Decision]:
        """Record alerts, a delivery to each receiver that has to be notified of them, and the next offsets.

        All of it or nothing. Arrivals whose offset was accepted before, by any notifier, are left out.

        Returns:
            What each newly accepted alert amounts to.

        Raises:
            OutboxBehindError: the message before an arrival is beyond the offset that the outbox has reached.
        """

    def lease(self, receiver: str, now: int, limit: int) -> list[Delivery]:
        """Lease deliveries that are due, earliest first, at most one per alert: its first undelivered message.

        They are this outbox object's until ``record`` or ``release``, or until the lease runs out. None for a receiver
        that is disabled.
        """

    def renew(self, receiver: str, sequences: Collection[int]) -> set[int]:
        """Extend leases to ``lease_seconds`` from now. Returns those that are still its own: others were taken over."""

    def release(self, receiver: str, sequences: Collection[int]) -> int:
        """End leases without an attempt: the deliveries are due at once. Returns how many leases were still its own."""

    def next_due_at(self, receiver: str, now: int) -> int | None:
        """The earliest time after ``now`` at which a delivery of the receiver is due, or None."""

    def record(self, receiver: str, attempts: Sequence[Attempt]) -> int:
        """Record the results of leased deliveries, and end their leases.

        Attempts whose lease was taken over are left out: the new holder records the result of the delivery.
        Returns how many were recorded.
        """

    def disable(self, receiver: str, reason: str, now: int) -> bool:
        """Send nothing more to a receiver until it is enabled; what is due to it stays pending.

        Returns whether that is new: False where it was disabled already.
        """

    def attach(self, receiver: str, target: str, now: int) -> None:
        """Say where a receiver's messages go (a fingerprint). Another target than before enables it again."""

    def retry(self, receiver: str | None, now: int) -> int:
        """Make failed deliveries due now and enable disabled receivers; all receivers for None. Returns how many."""

    def backlog(self) -> list[Backlog]:
        """Every receiver's deliveries by state."""

    def prune(self, before: int) -> int:
        """Remove messages from before a time that every receiver has; what is known of alerts stays.

        Returns how many; 0 where another notifier is pruning at this moment.
        """

    def close(self) -> None:
        """Close it. Leases stay until they run out."""
