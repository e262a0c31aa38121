"""The outbox in a PostgreSQL database, shared by any number of notifiers.

What keeps them apart::

    taking alerts in   the row of each partition's position is locked until the commit: of two notifiers that hold the
                       same messages the second finds them accepted. Then the alerts' rows, in the order of their ids.
    delivering         rows are chosen by FOR UPDATE SKIP LOCKED and marked with a holder and an end, the lease; the
                       outcome of a delivery is recorded only for its holder.
    housekeeping       an advisory lock.

Leases are by the database's clock, so it does not matter how far those of the notifiers differ.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from psycopg import Connection

from cardwatch_notifier.alerts import Alert
from cardwatch_notifier.notified_state import Decision, Notified
from cardwatch_notifier.outbox.acceptance import AlertChanges, find_changes, select_new
from cardwatch_notifier.outbox.postgres import statements
from cardwatch_notifier.outbox.postgres.connections import OutboxConnections, Timeouts
from cardwatch_notifier.outbox.postgres.database import Database
from cardwatch_notifier.outbox.postgres.schema import REVISION, advisory_key, check
from cardwatch_notifier.outbox.protocol import (
    Arrival,
    Attempt,
    Backlog,
    Delivery,
    DeliveryState,
    Message,
    SourcePartition,
)
from cardwatch_notifier.outbox.rows import notified_of, positions_of

_PRUNE_BATCH: Final = 1000


class PostgresOutbox:
    """An ``Outbox`` that notifiers share. See the protocol for what the methods promise."""

    def __init__(
        self,
        database: Database,
        lease_seconds: float,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - it is immutable
        revision: str = REVISION,
    ) -> None:
        """Check that the schema is there, and open a pool of connections.

        Raises:
            OutboxUnavailableError: the database does not answer.
            ConfigurationError: the schema is not there, older or newer.
        """
        with database.connect() as connection:
            check(connection, database.name, revision)
        self._lease_seconds: Final = lease_seconds
        self._holder: Final = uuid4()
        self._connections: Final = OutboxConnections(database, timeouts)

    @property
    def lease_seconds(self) -> float:
        return self._lease_seconds

    def problem(self) -> str:
        return self._connections.problem()

    def instance_id(self) -> str:
        with self._connections.connection() as db:
            return str(_one(db, statements.READ_INSTANCE_ID))

    def positions(self) -> Mapping[SourcePartition, int]:
        with self._connections.connection() as db:
            return positions_of(db.execute(statements.READ_POSITIONS).fetchall())

    def accept(self, arrivals: Sequence[Arrival], receivers: Iterable[str], now: int) -> list[Decision]:
        receivers = list(receivers)
        with self._connections.transaction() as db:
            new = select_new(arrivals, _lock_positions(db, {arrival.partition for arrival in arrivals}))
            for one, offset in new.positions.items():
                db.execute(statements.SET_POSITION, (offset, one.topic, one.topic_id, one.number))
            if not new.alerts:
                return []
            changes = find_changes(new.alerts, _lock_alerts(db, new.alerts, now))
            if changes.messages:
                _set_notified(db, changes)
                _add_messages(db, changes, receivers, now)
        return list(changes.decisions)

    def lease(self, receiver: str, now: int, limit: int) -> list[Delivery]:
        with self._connections.connection() as db:
            rows = db.execute(
                statements.LEASE_DUE,
                {
                    "receiver": receiver,
                    "now": now,
                    "limit": limit,
                    "holder": self._holder,
                    "seconds": self._lease_seconds,
                },
            ).fetchall()
        # By time and sequence: what an UPDATE returns has no order.
        return [Delivery(Message(*row[1:10]), attempts=row[10], rejections=row[11]) for row in sorted(rows)]

    def renew(self, receiver: str, sequences: Collection[int]) -> set[int]:
        with self._connections.connection() as db:
            rows = db.execute(
                statements.RENEW_LEASES, (self._lease_seconds, receiver, list(sequences), self._holder)
            ).fetchall()
        return {row[0] for row in rows}

    def release(self, receiver: str, sequences: Collection[int]) -> int:
        with self._connections.connection() as db:
            return db.execute(statements.RELEASE_LEASES, (receiver, list(sequences), self._holder)).rowcount

    def next_due_at(self, receiver: str, now: int) -> int | None:
        with self._connections.connection() as db:
            at = _one(db, statements.READ_NEXT_DUE, (receiver, now))
        return None if at is None else int(at)

    def record(self, receiver: str, attempts: Sequence[Attempt]) -> int:
        with self._connections.transaction() as db:
            states = db.execute(
                statements.RECORD_ATTEMPTS,
                {
                    "receiver": receiver,
                    "holder": self._holder,
                    "sequences": [attempt.sequence for attempt in attempts],
                    "states": [attempt.state.value for attempt in attempts],
                    "counted": [int(attempt.counted) for attempt in attempts],
                    "rejected": [int(attempt.rejected) for attempt in attempts],
                    "next": [attempt.next_attempt_at or attempt.at for attempt in attempts],
                    "at": [attempt.at for attempt in attempts],
                    "errors": [attempt.error for attempt in attempts],
                },
            ).fetchall()
            delivered = sum(state == DeliveryState.DELIVERED for (state,) in states)
            if delivered:
                # This comes last, because every notifier that delivers to this receiver waits for this row.
                db.execute(statements.COUNT_DELIVERED, (delivered, receiver))
        return len(states)

    def disable(self, receiver: str, reason: str, now: int) -> bool:
        with self._connections.connection() as db:
            return db.execute(statements.DISABLE_RECEIVER, (now, reason, receiver)).rowcount > 0

    def attach(self, receiver: str, target: str, now: int) -> None:
        with self._connections.connection() as db:
            db.execute(statements.ATTACH_RECEIVER, (receiver, target))

    def retry(self, receiver: str | None, now: int) -> int:
        with self._connections.transaction() as db:
            changed = db.execute(statements.RETRY_FAILED, {"now": now, "receiver": receiver}).rowcount
            db.execute(statements.ENABLE_RECEIVERS, {"receiver": receiver})
        return changed

    def backlog(self) -> list[Backlog]:
        with self._connections.connection() as db:
            rows = db.execute(statements.READ_BACKLOG).fetchall()
        return [Backlog(*row) for row in rows]

    def prune(self, before: int) -> int:
        removed = 0
        while True:
            with self._connections.transaction() as db:
                if not _one(db, f"SELECT pg_try_advisory_xact_lock({advisory_key('housekeeping')})"):
                    return removed
                sequences = [row[0] for row in db.execute(statements.FIND_PRUNABLE, (before, _PRUNE_BATCH)).fetchall()]
                db.execute(statements.DELETE_DELIVERIES, (sequences,))
                db.execute(statements.DELETE_MESSAGES, (sequences,))
            removed += len(sequences)
            if len(sequences) < _PRUNE_BATCH:
                return removed

    def close(self) -> None:
        self._connections.close()


def _one(db: Connection[Any], query: str, parameters: Sequence[Any] = ()) -> Any:
    """The single value that a query gives."""
    row = db.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def _lock_positions(db: Connection[Any], partitions: Collection[SourcePartition]) -> dict[SourcePartition, int]:
    """The positions of partitions, locked until the end of the transaction; 0 for new ones."""
    asked = list(partitions)
    rows = db.execute(
        statements.LOCK_POSITIONS,
        ([one.topic for one in asked], [one.topic_id for one in asked], [one.number for one in asked]),
    )
    return positions_of(rows.fetchall())


def _lock_alerts(db: Connection[Any], alerts: Sequence[Alert], now: int) -> dict[str, Notified]:
    """What receivers have been notified of each alert; writes its last event, and locks it for the transaction."""
    last = {alert.alert_id: alert for alert in alerts}
    rows = db.execute(
        statements.LOCK_ALERTS,
        {
            "now": now,
            "ids": list(last),
            "rules": [alert.rule_id for alert in last.values()],
            "statuses": [alert.status.value for alert in last.values()],
            "modes": [alert.mode.value for alert in last.values()],
        },
    )
    return {str(alert_id): notified_of(told, transitions) for alert_id, told, transitions in rows}


def _set_notified(db: Connection[Any], changes: AlertChanges) -> None:
    """Write what receivers have been notified of from now on."""
    notified = [notified for _, notified in changes.states]
    db.execute(
        statements.SET_NOTIFIED,
        (
            [alert.alert_id for alert, _ in changes.states],
            [one.status.value if one.status else None for one in notified],
            [one.transitions for one in notified],
        ),
    )


def _add_messages(db: Connection[Any], changes: AlertChanges, receivers: list[str], now: int) -> None:
    """Add the messages that receivers are to get, and a delivery of each to every receiver."""
    alerts = [alert for _, alert in changes.messages]
    messages = db.execute(
        statements.ADD_MESSAGES,
        {
            "now": now,
            "message_ids": [message_id for message_id, _ in changes.messages],
            "alert_ids": [alert.alert_id for alert in alerts],
            "bodies": [alert.body for alert in alerts],
            "event_times": [alert.event_time for alert in alerts],
            "broker_times": [alert.raw_broker_time for alert in alerts],
            "detected": [alert.detected_at for alert in alerts],
            "traces": [alert.trace_context for alert in alerts],
        },
    ).fetchall()
    db.execute(
        statements.ADD_DELIVERIES,
        (now, [sequence for sequence, _ in messages], [alert_id for _, alert_id in messages], receivers),
    )
