"""The outbox in a SQLite file: write-ahead log, every commit synced to the disk before it returns.

One process works on it at a time, so leases are kept in memory: nobody else could take a delivery over, and they end
with the process.
"""

import math
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_units.file_modes import close_to_others

from cardwatch_notifier.alerts import Alert
from cardwatch_notifier.notified_state import Decision, Notified
from cardwatch_notifier.outbox.acceptance import AlertChanges, find_changes, select_new
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
from cardwatch_notifier.outbox.sqlite import schema, statements

_BUSY_TIMEOUT_SECONDS: Final = 10.0
_PRUNE_BATCH: Final = 1000


class SqliteOutbox:
    """An ``Outbox`` in one file. See the protocol for what the methods promise."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open the file.

        Args:
            create: make the file and bring its schema up to date; False opens an existing file as it is.

        Raises:
            ConfigurationError: there is no such outbox, it cannot be written, or another version of Cardwatch wrote it.
        """
        self._path = path
        self._lock = threading.RLock()
        self._leased: defaultdict[str, set[int]] = defaultdict(set)  # sequences by receiver
        if not create and not path.is_file():
            raise ConfigurationError(
                f"there is no outbox at {path}: `cardwatch-notifier run` creates one,  "
                "CARDWATCH_NOTIFIER_OUTBOX_PATH says where"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for existing in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm", ".lock"))):
                close_to_others(existing)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            version = schema.check_version(self._connection, path, may_upgrade=create)
            with self._transaction() as db:
                schema.upgrade(db, version)
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(
                f"the outbox {path} cannot be opened: {error}; CARDWATCH_NOTIFIER_OUTBOX_PATH must name a SQLite file "
                "that the notifier may write, on a local disk"
            ) from error

    @property
    def lease_seconds(self) -> float:
        return math.inf

    def problem(self) -> str:
        return ""

    def instance_id(self) -> str:
        with self._lock:
            return str(self._connection.execute(statements.READ_INSTANCE_ID).fetchone()[0])

    def positions(self) -> Mapping[SourcePartition, int]:
        with self._lock:
            return positions_of(self._connection.execute(statements.READ_POSITIONS))

    def accept(self, arrivals: Sequence[Arrival], receivers: Iterable[str], now: int) -> list[Decision]:
        receivers = tuple(receivers)
        with self._transaction() as db:
            new = select_new(arrivals, self.positions())
            changes = find_changes(new.alerts, _read_notified(db, {alert.alert_id for alert in new.alerts}))
            db.executemany(
                statements.SET_POSITION,
                [(one.topic, one.topic_id, one.number, offset) for one, offset in new.positions.items()],
            )
            db.executemany(
                statements.SET_ALERT,
                [
                    (
                        alert.alert_id, alert.rule_id, alert.status, alert.mode,
                        notified.status, notified.transitions, now, now,
                    )
                    for alert, notified in changes.states
                ],
            )  # fmt: skip
            _add_messages(db, changes, receivers, now)
        return list(changes.decisions)

    def lease(self, receiver: str, now: int, limit: int) -> list[Delivery]:
        with self._lock:
            leased = self._leased[receiver]
            # Leased deliveries are pending too, so the query returns them with the others.
            rows = self._connection.execute(statements.READ_DUE, (receiver, now, limit + len(leased))).fetchall()
            deliveries = [
                Delivery(Message(*row[:9]), attempts=row[9], rejections=row[10]) for row in rows if row[0] not in leased
            ][:limit]
            leased.update(delivery.message.sequence for delivery in deliveries)
        return deliveries

    def renew(self, receiver: str, sequences: Collection[int]) -> set[int]:
        with self._lock:
            return self._leased[receiver].intersection(sequences)

    def release(self, receiver: str, sequences: Collection[int]) -> int:
        with self._lock:
            held = self.renew(receiver, sequences)
            self._leased[receiver] -= held
        return len(held)

    def next_due_at(self, receiver: str, now: int) -> int | None:
        with self._lock:
            row = self._connection.execute(statements.READ_NEXT_DUE, (receiver, now)).fetchone()
        return None if row[0] is None else int(row[0])

    def record(self, receiver: str, attempts: Sequence[Attempt]) -> int:
        with self._transaction() as db:
            held = self.renew(receiver, [attempt.sequence for attempt in attempts])
            kept = [attempt for attempt in attempts if attempt.sequence in held]
            db.executemany(
                statements.RECORD_ATTEMPT,
                [
                    (
                        attempt.state, attempt.counted, attempt.rejected, attempt.next_attempt_at or attempt.at,
                        attempt.at, attempt.error, receiver, attempt.sequence,
                    )
                    for attempt in kept
                ],
            )  # fmt: skip
            delivered = sum(attempt.state is DeliveryState.DELIVERED for attempt in kept)
            db.execute(statements.COUNT_DELIVERED, (delivered, receiver))
        self.release(receiver, held)
        return len(kept)

    def disable(self, receiver: str, reason: str, now: int) -> bool:
        with self._transaction() as db:
            return db.execute(statements.DISABLE_RECEIVER, (now, reason, receiver)).rowcount > 0

    def attach(self, receiver: str, target: str, now: int) -> None:
        with self._transaction() as db:
            db.execute(statements.ATTACH_RECEIVER, (receiver, target))

    def retry(self, receiver: str | None, now: int) -> int:
        with self._transaction() as db:
            changed = db.execute(statements.RETRY_FAILED, (now, receiver)).rowcount
            db.execute(statements.ENABLE_RECEIVERS, (receiver,))
        return changed

    def backlog(self) -> list[Backlog]:
        with self._lock:
            rows = self._connection.execute(statements.READ_BACKLOG).fetchall()
        return [Backlog(*row) for row in rows]

    def prune(self, before: int) -> int:
        removed = 0
        while True:
            with self._transaction() as db:
                rows = db.execute(statements.FIND_PRUNABLE, (before, _PRUNE_BATCH)).fetchall()
                db.executemany(statements.DELETE_DELIVERIES, rows)
                db.executemany(statements.DELETE_MESSAGE, rows)
            removed += len(rows)
            if len(rows) < _PRUNE_BATCH:
                return removed

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise CardwatchError(
                        f"the outbox {self._path} cannot be written: {error}; nothing was lost, "
                        "the notifier goes on from here when it is started again with room on a healthy disk"
                    ) from error
                raise


def _read_notified(db: sqlite3.Connection, alert_ids: Iterable[str]) -> dict[str, Notified]:
    rows = {alert_id: db.execute(statements.READ_NOTIFIED, (alert_id,)).fetchone() for alert_id in alert_ids}
    return {alert_id: notified_of(*row) for alert_id, row in rows.items() if row is not None}


def _add_messages(db: sqlite3.Connection, changes: AlertChanges, receivers: Sequence[str], now: int) -> None:
    """Add the messages that receivers are to get, and a delivery of each to every receiver."""
    for message_id, alert in changes.messages:
        sequence = db.execute(statements.ADD_MESSAGE, _message_row(message_id, alert, now)).lastrowid
        db.executemany(statements.ADD_DELIVERY, [(sequence, receiver, alert.alert_id, now) for receiver in receivers])


def _message_row(message_id: str, alert: Alert, now: int) -> tuple[str | int | None, ...]:
    return (
        message_id, alert.alert_id, alert.body, now,
        alert.event_time, alert.raw_broker_time, alert.detected_at, alert.trace_context,
    )  # fmt: skip
