"""The outbox in a SQLite file: write-ahead log, every commit synced to the disk before it returns.

One process works on it at a time, so leases are kept in memory: nobody else could take a delivery over, and they end
with the process.

The layout is versioned by ``PRAGMA user_version``; ``_MIGRATIONS`` leads from each version to the next.
"""

import math
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from cardwatch_contracts.errors import CardwatchError, ConfigurationError

from cardwatch_notifier.alerts import Status
from cardwatch_notifier.outbox.acceptance import fresh, settle
from cardwatch_notifier.outbox.protocol import Arrival, Attempt, Backlog, Delivery, DeliveryState, Message, Partition
from cardwatch_notifier.transitions import Known, Verdict

_MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE outbox (instance_id TEXT NOT NULL)",
        """CREATE TABLE positions (
            topic TEXT NOT NULL, topic_id TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
            PRIMARY KEY (topic, topic_id, partition)
        ) WITHOUT ROWID""",
        # status and mode: the last event's; told and transitions: what receivers know (transitions.Known)
        """CREATE TABLE alerts (
            alert_id TEXT PRIMARY KEY, rule_id TEXT NOT NULL, status TEXT NOT NULL, mode TEXT NOT NULL,
            told TEXT, transitions INTEGER NOT NULL, first_seen_at INTEGER NOT NULL, last_seen_at INTEGER NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE messages (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL UNIQUE, alert_id TEXT NOT NULL,
            body TEXT NOT NULL, created_at INTEGER NOT NULL, event_time INTEGER NOT NULL,
            raw_broker_time INTEGER NOT NULL, detected_at INTEGER NOT NULL
        )""",
        "CREATE INDEX messages_by_age ON messages (created_at)",
        """CREATE TABLE deliveries (
            sequence INTEGER NOT NULL REFERENCES messages (sequence), receiver TEXT NOT NULL, alert_id TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
            attempts INTEGER NOT NULL DEFAULT 0, rejections INTEGER NOT NULL DEFAULT 0,
            next_attempt_at INTEGER NOT NULL, last_attempt_at INTEGER, last_error TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (sequence, receiver)
        ) WITHOUT ROWID""",
        "CREATE INDEX deliveries_due ON deliveries (receiver, state, next_attempt_at, sequence)",
        "CREATE INDEX deliveries_in_order ON deliveries (receiver, alert_id, sequence, state)",
        """CREATE TABLE receivers (
            name TEXT PRIMARY KEY, target TEXT NOT NULL, delivered INTEGER NOT NULL DEFAULT 0,
            disabled_at INTEGER, disabled_reason TEXT NOT NULL DEFAULT ''
        ) WITHOUT ROWID""",
    ),
    ("ALTER TABLE messages ADD COLUMN trace_context TEXT",),
)
_VERSION: Final = len(_MIGRATIONS)
_BUSY_TIMEOUT_SECONDS: Final = 10.0
_PRUNE_AT_ONCE: Final = 1000

_DUE: Final = """
    SELECT m.sequence, m.message_id, m.alert_id, m.body, m.created_at, m.event_time, m.raw_broker_time, m.detected_at,
           m.trace_context, d.attempts, d.rejections
    FROM deliveries d JOIN messages m USING (sequence)
    WHERE d.receiver = ? AND d.state = 'pending' AND d.next_attempt_at <= ?
      AND NOT EXISTS (
          SELECT 1 FROM deliveries earlier
          WHERE earlier.receiver = d.receiver AND earlier.alert_id = d.alert_id AND earlier.sequence < d.sequence
            AND earlier.state <> 'delivered')
      AND NOT EXISTS (SELECT 1 FROM receivers WHERE name = d.receiver AND disabled_at IS NOT NULL)
    ORDER BY d.next_attempt_at, d.sequence LIMIT ?
"""
# Counts what is left to do by index; delivered ones, which are many, are counted as they happen.
_BACKLOG: Final = """
    SELECT name, disabled_reason, delivered,
           (SELECT count(*) FROM deliveries WHERE receiver = name AND state = 'pending'),
           (SELECT count(*) FROM deliveries WHERE receiver = name AND state = 'failed'),
           (SELECT created_at FROM messages WHERE sequence =
               (SELECT min(sequence) FROM deliveries WHERE receiver = name AND state = 'pending'))
    FROM receivers ORDER BY name
"""


class SqliteOutbox:
    """An ``Outbox`` in one file. See the protocol for what the methods promise."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open the file.

        Args:
            create: make the file and bring its layout up to date; False opens one that is there as it is.

        Raises:
            ConfigurationError: there is no such outbox, it cannot be written, or another version of Cardwatch wrote it.
        """
        self._path = path
        self._lock = threading.RLock()
        self._leased: defaultdict[str, set[int]] = defaultdict(set)  # sequences by receiver
        if not create and not path.is_file():
            raise ConfigurationError(
                f"there is no outbox at {path}: `cardwatch-notifier run` makes one, "
                "CARDWATCH_NOTIFIER_OUTBOX_PATH says where"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._migrate(create)
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
            return str(self._connection.execute("SELECT instance_id FROM outbox").fetchone()[0])

    def positions(self) -> Mapping[Partition, int]:
        with self._lock:
            rows = self._connection.execute("SELECT topic, topic_id, partition, next_offset FROM positions").fetchall()
        return {Partition(topic, topic_id, number): offset for topic, topic_id, number, offset in rows}

    def accept(self, arrivals: Sequence[Arrival], receivers: Iterable[str], now: int) -> list[Verdict]:
        receivers = tuple(receivers)
        with self._transaction() as db:
            news = fresh(arrivals, self.positions())
            settled = settle(news.alerts, self._known(db, {alert.alert_id for alert in news.alerts}))
            db.executemany(
                "INSERT INTO positions VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
                [(one.topic, one.topic_id, one.number, offset) for one, offset in news.positions.items()],
            )
            db.executemany(
                """INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
                   status = excluded.status, mode = excluded.mode, told = excluded.told,
                   transitions = excluded.transitions, last_seen_at = excluded.last_seen_at""",
                [
                    (alert.alert_id, alert.rule_id, alert.status, alert.mode, known.told, known.transitions, now, now)
                    for alert, known in settled.states
                ],
            )
            for message_id, alert in settled.messages:
                sequence = db.execute(
                    """INSERT INTO messages
                       (message_id, alert_id, body, created_at, event_time, raw_broker_time, detected_at, trace_context)
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                    (
                        message_id, alert.alert_id, alert.body, now,
                        alert.event_time, alert.raw_broker_time, alert.detected_at, alert.trace_context,
                    ),
                ).lastrowid  # fmt: skip
                db.executemany(
                    "INSERT INTO deliveries (sequence, receiver, alert_id, state, next_attempt_at) "
                    "VALUES (?, ?, ?, 'pending', ?)",
                    [(sequence, receiver, alert.alert_id, now) for receiver in receivers],
                )
        return list(settled.verdicts)

    @staticmethod
    def _known(db: sqlite3.Connection, alert_ids: Iterable[str]) -> dict[str, Known]:
        known: dict[str, Known] = {}
        for alert_id in alert_ids:
            row = db.execute("SELECT told, transitions FROM alerts WHERE alert_id = ?", (alert_id,)).fetchone()
            if row is not None:
                known[alert_id] = Known(Status(row[0]) if row[0] else None, row[1])
        return known

    def lease(self, receiver: str, now: int, limit: int) -> list[Delivery]:
        with self._lock:
            leased = self._leased[receiver]
            # What is leased comes with the rest: it is pending as well.
            rows = self._connection.execute(_DUE, (receiver, now, limit + len(leased))).fetchall()
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
            row = self._connection.execute(
                "SELECT min(next_attempt_at) FROM deliveries "
                "WHERE receiver = ? AND state = 'pending' AND next_attempt_at > ?",
                (receiver, now),
            ).fetchone()
        return None if row[0] is None else int(row[0])

    def record(self, receiver: str, attempts: Sequence[Attempt]) -> int:
        with self._transaction() as db:
            held = self.renew(receiver, [attempt.sequence for attempt in attempts])
            kept = [attempt for attempt in attempts if attempt.sequence in held]
            db.executemany(
                """UPDATE deliveries SET state = ?, attempts = attempts + ?, rejections = rejections + ?,
                   next_attempt_at = ?, last_attempt_at = ?, last_error = ? WHERE receiver = ? AND sequence = ?""",
                [
                    (
                        attempt.state, attempt.counted, attempt.rejected, attempt.next_attempt_at or attempt.at,
                        attempt.at, attempt.error, receiver, attempt.sequence,
                    )
                    for attempt in kept
                ],
            )  # fmt: skip
            delivered = sum(attempt.state is DeliveryState.DELIVERED for attempt in kept)
            db.execute("UPDATE receivers SET delivered = delivered + ? WHERE name = ?", (delivered, receiver))
        self.release(receiver, held)
        return len(kept)

    def disable(self, receiver: str, reason: str, now: int) -> bool:
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE receivers SET disabled_at = ?, disabled_reason = ? WHERE name = ? AND disabled_at IS NULL",
                (now, reason, receiver),
            ).rowcount
        return changed > 0

    def attach(self, receiver: str, target: str, now: int) -> None:
        with self._transaction() as db:
            db.execute(
                """INSERT INTO receivers (name, target) VALUES (?, ?) ON CONFLICT DO UPDATE SET
                   target = excluded.target, disabled_at = NULL, disabled_reason = ''
                   WHERE target <> excluded.target""",
                (receiver, target),
            )

    def retry(self, receiver: str | None, now: int) -> int:
        with self._transaction() as db:
            changed = db.execute(
                """UPDATE deliveries SET state = 'pending', attempts = 0, rejections = 0, next_attempt_at = ?1
                   WHERE state = 'failed' AND (?2 IS NULL OR receiver = ?2)""",
                (now, receiver),
            ).rowcount
            db.execute(
                "UPDATE receivers SET disabled_at = NULL, disabled_reason = '' WHERE ?1 IS NULL OR name = ?1",
                (receiver,),
            )
        return changed

    def backlog(self) -> list[Backlog]:
        with self._lock:
            rows = self._connection.execute(_BACKLOG).fetchall()
        return [
            Backlog(name, pending, delivered, failed, oldest, reason)
            for name, reason, delivered, pending, failed, oldest in rows
        ]

    def prune(self, before: int) -> int:
        removed = 0
        while True:
            with self._transaction() as db:
                rows = db.execute(
                    """SELECT sequence FROM messages m WHERE created_at < ? AND NOT EXISTS (
                           SELECT 1 FROM deliveries d WHERE d.sequence = m.sequence AND d.state <> 'delivered')
                       LIMIT ?""",
                    (before, _PRUNE_AT_ONCE),
                ).fetchall()
                db.executemany("DELETE FROM deliveries WHERE sequence = ?", rows)
                db.executemany("DELETE FROM messages WHERE sequence = ?", rows)
            removed += len(rows)
            if len(rows) < _PRUNE_AT_ONCE:
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

    def _migrate(self, create: bool) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION or (version < _VERSION and not create):
            newer_or_older = "a newer" if version > _VERSION else "an older"
            raise ConfigurationError(
                f"the outbox {self._path} has layout {version} of {newer_or_older} Cardwatch, this one reads "
                f"{_VERSION}; start the notifier of the newest version once to bring it up to date"
            )
        with self._transaction() as db:
            for number, statements in enumerate(_MIGRATIONS[version:], start=version + 1):
                for statement in statements:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {number}")
            if db.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0:
                db.execute("INSERT INTO outbox VALUES (?)", (str(uuid4()),))
