"""The outbox in a PostgreSQL database, shared by any number of notifiers.

What keeps them apart::

    taking alerts in   the row of each partition's position is locked until the commit: of two that hold the same
                       messages the second finds them accepted. Then the alerts' rows, in the order of their ids.
    delivering         rows are chosen by FOR UPDATE SKIP LOCKED and marked with a holder and an end, the lease; what
                       comes of a delivery is kept only from its holder.
    housekeeping       an advisory lock.

Leases are by the database's clock, so it does not matter how far those of the notifiers differ.
"""

import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import psycopg
from cardwatch_contracts.errors import CardwatchError
from psycopg import Connection
from psycopg.errors import ReadOnlySqlTransaction
from psycopg_pool import ConnectionPool, PoolClosed

from cardwatch_notifier.alerts import Status
from cardwatch_notifier.outbox.acceptance import Settled, fresh, settle
from cardwatch_notifier.outbox.postgres.database import Database, prepare_session, translated
from cardwatch_notifier.outbox.postgres.schema import advisory_key, check
from cardwatch_notifier.outbox.protocol import (
    Arrival,
    Attempt,
    Backlog,
    Delivery,
    DeliveryState,
    Message,
    OutboxUnavailableError,
    Partition,
)
from cardwatch_notifier.transitions import Known, Verdict

_CONNECTIONS: Final = 8
# How long a caller waits for a connection before it is told that there is none; also how long a stop may have to wait.
_TIMEOUT_SECONDS: Final = 3.0
# A call that takes longer is a server that stands still; it is not given up, but said to be a problem.
_PATIENCE_SECONDS: Final = 5.0
_PRUNE_AT_ONCE: Final = 1000

_LOCK_POSITIONS: Final = """
    INSERT INTO positions AS known (topic, topic_id, partition, next_offset)
    SELECT topic, topic_id, partition, 0
    FROM unnest(%s::text[], %s::text[], %s::integer[]) AS asked (topic, topic_id, partition)
    ORDER BY topic, topic_id, partition
    ON CONFLICT (topic, topic_id, partition) DO UPDATE SET next_offset = known.next_offset
    RETURNING topic, topic_id, partition, next_offset
"""
_MOVE_POSITIONS: Final = """
    UPDATE positions SET next_offset = %s WHERE topic = %s AND topic_id = %s AND partition = %s
"""
_LOCK_ALERTS: Final = """
    INSERT INTO alerts AS known (alert_id, rule_id, status, mode, transitions, first_seen_at, last_seen_at)
    SELECT alert_id, rule_id, status, mode, 0, %(now)s, %(now)s
    FROM unnest(%(ids)s::uuid[], %(rules)s::text[], %(statuses)s::text[], %(modes)s::text[])
         AS asked (alert_id, rule_id, status, mode)
    ORDER BY alert_id
    ON CONFLICT (alert_id) DO UPDATE
        SET status = excluded.status, mode = excluded.mode, last_seen_at = excluded.last_seen_at
    RETURNING alert_id, told, transitions
"""
_KEEP_KNOWN: Final = """
    UPDATE alerts SET told = settled.told, transitions = settled.transitions
    FROM unnest(%s::uuid[], %s::text[], %s::integer[]) AS settled (alert_id, told, transitions)
    WHERE alerts.alert_id = settled.alert_id
"""
# Numbered in the order of the events: the default is computed after the sort.
_ADD_MESSAGES: Final = """
    INSERT INTO messages
        (message_id, alert_id, body, created_at, event_time, raw_broker_time, detected_at, trace_context)
    SELECT message_id, alert_id, body, %(now)s, event_time, raw_broker_time, detected_at, trace_context
    FROM unnest(%(message_ids)s::text[], %(alert_ids)s::uuid[], %(bodies)s::text[], %(event_times)s::bigint[],
                %(broker_times)s::bigint[], %(detected)s::bigint[], %(traces)s::text[]) WITH ORDINALITY
         AS told (message_id, alert_id, body, event_time, raw_broker_time, detected_at, trace_context, place)
    ORDER BY place
    RETURNING sequence, alert_id
"""
_ADD_DELIVERIES: Final = """
    INSERT INTO deliveries (sequence, alert_id, receiver, state, next_attempt_at)
    SELECT sequence, alert_id, receiver, 'pending', %s
    FROM unnest(%s::bigint[], %s::uuid[]) AS message (sequence, alert_id), unnest(%s::text[]) AS receiver
"""
_LEASE: Final = """
    WITH due AS MATERIALIZED (
        SELECT sequence FROM deliveries d
        WHERE receiver = %(receiver)s AND state = 'pending' AND next_attempt_at <= %(now)s
          AND (leased_until IS NULL OR leased_until <= statement_timestamp())
          AND NOT EXISTS (
              SELECT FROM deliveries earlier
              WHERE earlier.receiver = d.receiver AND earlier.alert_id = d.alert_id AND earlier.sequence < d.sequence
                AND earlier.state <> 'delivered')
          AND NOT EXISTS (SELECT FROM receivers WHERE name = d.receiver AND disabled_at IS NOT NULL)
        ORDER BY next_attempt_at, sequence LIMIT %(limit)s
        FOR UPDATE OF d SKIP LOCKED)
    UPDATE deliveries d
    SET leased_by = %(holder)s, leased_until = clock_timestamp() + make_interval(secs => %(seconds)s)
    FROM due, messages m
    WHERE d.receiver = %(receiver)s AND d.sequence = due.sequence AND m.sequence = due.sequence
    RETURNING d.next_attempt_at, m.sequence, m.message_id, m.alert_id::text, m.body, m.created_at, m.event_time,
              m.raw_broker_time, m.detected_at, m.trace_context, d.attempts, d.rejections
"""
_RENEW: Final = """
    UPDATE deliveries SET leased_until = clock_timestamp() + make_interval(secs => %s)
    WHERE receiver = %s AND sequence = ANY(%s) AND leased_by = %s RETURNING sequence
"""
_RELEASE: Final = """
    UPDATE deliveries SET leased_by = NULL, leased_until = NULL
    WHERE receiver = %s AND sequence = ANY(%s) AND leased_by = %s
"""
_RECORD: Final = """
    UPDATE deliveries d
    SET state = attempt.state, attempts = attempts + attempt.counted, rejections = rejections + attempt.rejected,
        next_attempt_at = attempt.next_attempt_at, last_attempt_at = attempt.at, last_error = attempt.error,
        leased_by = NULL, leased_until = NULL
    FROM unnest(%(sequences)s::bigint[], %(states)s::text[], %(counted)s::integer[], %(rejected)s::integer[],
                %(next)s::bigint[], %(at)s::bigint[], %(errors)s::text[])
         AS attempt (sequence, state, counted, rejected, next_attempt_at, at, error)
    WHERE d.receiver = %(receiver)s AND d.sequence = attempt.sequence AND d.leased_by = %(holder)s
    RETURNING d.state
"""
_NEXT_DUE: Final = """
    SELECT min(next_attempt_at) FROM deliveries WHERE receiver = %s AND state = 'pending' AND next_attempt_at > %s
"""
_ATTACH: Final = """
    INSERT INTO receivers AS known (name, target) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET target = excluded.target, disabled_at = NULL, disabled_reason = ''
    WHERE known.target <> excluded.target
"""
# Reads what is left to do by its index; delivered ones, which are many, are counted as they happen.
_BACKLOG: Final = """
    SELECT name, coalesce(pending, 0), delivered, coalesce(failed, 0), created_at, disabled_reason
    FROM receivers
    LEFT JOIN (
        SELECT receiver, count(*) FILTER (WHERE state = 'pending') AS pending,
               count(*) FILTER (WHERE state = 'failed') AS failed,
               min(sequence) FILTER (WHERE state = 'pending') AS oldest
        FROM deliveries WHERE state <> 'delivered' GROUP BY receiver) AS undelivered ON receiver = name
    LEFT JOIN messages ON sequence = oldest
    ORDER BY name
"""
_PRUNABLE: Final = """
    SELECT sequence FROM messages m
    WHERE created_at < %s
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.sequence = m.sequence AND d.state <> 'delivered')
    LIMIT %s
"""


class PostgresOutbox:
    """An ``Outbox`` that notifiers share. See the protocol for what the methods promise."""

    def __init__(self, database: Database, lease_seconds: float) -> None:
        """Look whether the schema is there, and open a pool of connections.

        Raises:
            OutboxUnavailableError: the database does not answer.
            ConfigurationError: the schema is not there, older or newer.
        """
        with database.connect() as connection:
            check(connection, database.name)
        self._name: Final = database.name
        self._lease_seconds: Final = lease_seconds
        self._holder: Final = uuid4()
        self._problem = ""
        self._calls: dict[object, float] = {}  # under way, since when (time.monotonic)
        self._pool: Final = ConnectionPool(
            kwargs=database.parameters,
            configure=prepare_session,
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_TIMEOUT_SECONDS,
            # The pool gives up soon and tries again at the next request: its own pauses grow to minutes.
            reconnect_timeout=_TIMEOUT_SECONDS,
            name="outbox",
            open=True,
        )

    @property
    def lease_seconds(self) -> float:
        return self._lease_seconds

    def problem(self) -> str:
        waited = time.monotonic() - min(self._calls.copy().values(), default=math.inf)
        if waited > _PATIENCE_SECONDS:
            return f"the outbox at {self._name} has not answered for {waited:.0f} s"
        return self._problem

    def instance_id(self) -> str:
        with self._connection() as db:
            return str(_one(db, "SELECT instance_id FROM outbox"))

    def positions(self) -> Mapping[Partition, int]:
        with self._connection() as db:
            rows = db.execute("SELECT topic, topic_id, partition, next_offset FROM positions").fetchall()
        return {Partition(topic, topic_id, number): offset for topic, topic_id, number, offset in rows}

    def accept(self, arrivals: Sequence[Arrival], receivers: Iterable[str], now: int) -> list[Verdict]:
        receivers = list(receivers)
        with self._transaction() as db:
            news = fresh(arrivals, _locked_positions(db, {arrival.partition for arrival in arrivals}))
            for one, offset in news.positions.items():
                db.execute(_MOVE_POSITIONS, (offset, one.topic, one.topic_id, one.number))
            if not news.alerts:
                return []
            last = {alert.alert_id: alert for alert in news.alerts}
            known = {
                str(alert_id): Known(Status(told) if told else None, transitions)
                for alert_id, told, transitions in db.execute(
                    _LOCK_ALERTS,
                    {
                        "now": now,
                        "ids": list(last),
                        "rules": [alert.rule_id for alert in last.values()],
                        "statuses": [alert.status.value for alert in last.values()],
                        "modes": [alert.mode.value for alert in last.values()],
                    },
                )
            }
            settled = settle(news.alerts, known)
            if settled.messages:
                _tell(db, settled, receivers, now)
        return list(settled.verdicts)

    def lease(self, receiver: str, now: int, limit: int) -> list[Delivery]:
        with self._connection() as db:
            rows = db.execute(
                _LEASE,
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
        with self._connection() as db:
            rows = db.execute(_RENEW, (self._lease_seconds, receiver, list(sequences), self._holder)).fetchall()
        return {row[0] for row in rows}

    def release(self, receiver: str, sequences: Collection[int]) -> int:
        with self._connection() as db:
            return db.execute(_RELEASE, (receiver, list(sequences), self._holder)).rowcount

    def next_due_at(self, receiver: str, now: int) -> int | None:
        with self._connection() as db:
            at = _one(db, _NEXT_DUE, (receiver, now))
        return None if at is None else int(at)

    def record(self, receiver: str, attempts: Sequence[Attempt]) -> int:
        with self._transaction() as db:
            states = db.execute(
                _RECORD,
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
                # Last, because all that deliver to this receiver wait for this row.
                db.execute("UPDATE receivers SET delivered = delivered + %s WHERE name = %s", (delivered, receiver))
        return len(states)

    def disable(self, receiver: str, reason: str, now: int) -> bool:
        with self._connection() as db:
            changed = db.execute(
                "UPDATE receivers SET disabled_at = %s, disabled_reason = %s WHERE name = %s AND disabled_at IS NULL",
                (now, reason, receiver),
            ).rowcount
        return changed > 0

    def attach(self, receiver: str, target: str, now: int) -> None:
        with self._connection() as db:
            db.execute(_ATTACH, (receiver, target))

    def retry(self, receiver: str | None, now: int) -> int:
        with self._transaction() as db:
            changed = db.execute(
                """UPDATE deliveries SET state = 'pending', attempts = 0, rejections = 0, next_attempt_at = %(now)s
                   WHERE state = 'failed' AND (%(receiver)s::text IS NULL OR receiver = %(receiver)s)""",
                {"now": now, "receiver": receiver},
            ).rowcount
            db.execute(
                """UPDATE receivers SET disabled_at = NULL, disabled_reason = ''
                   WHERE %(receiver)s::text IS NULL OR name = %(receiver)s""",
                {"receiver": receiver},
            )
        return changed

    def backlog(self) -> list[Backlog]:
        with self._connection() as db:
            rows = db.execute(_BACKLOG).fetchall()
        return [Backlog(*row) for row in rows]

    def prune(self, before: int) -> int:
        removed = 0
        while True:
            with self._transaction() as db:
                if not _one(db, f"SELECT pg_try_advisory_xact_lock({advisory_key('housekeeping')})"):
                    return removed
                sequences = [row[0] for row in db.execute(_PRUNABLE, (before, _PRUNE_AT_ONCE)).fetchall()]
                db.execute("DELETE FROM deliveries WHERE sequence = ANY(%s)", (sequences,))
                db.execute("DELETE FROM messages WHERE sequence = ANY(%s)", (sequences,))
            removed += len(sequences)
            if len(sequences) < _PRUNE_AT_ONCE:
                return removed

    def close(self) -> None:
        self._pool.close()

    @contextmanager
    def _connection(self) -> Iterator[Connection[Any]]:
        """A connection from the pool; each statement is a transaction."""
        call = object()
        self._calls[call] = time.monotonic()
        try:
            with translated(self._name), self._pool.connection() as connection:
                try:
                    yield connection
                except psycopg.Error as error:
                    if connection.closed or isinstance(error, ReadOnlySqlTransaction):
                        # The others lead to the same server, which is gone, or not the primary any more.
                        self._pool.drain()
                    raise
        except OutboxUnavailableError as error:
            if isinstance(error.__cause__, PoolClosed):
                raise CardwatchError(f"the outbox at {self._name} was closed") from error
            self._problem = str(error)
            raise
        finally:
            del self._calls[call]
        self._problem = ""

    @contextmanager
    def _transaction(self) -> Iterator[Connection[Any]]:
        with self._connection() as connection, connection.transaction():
            yield connection


def _one(db: Connection[Any], query: str, parameters: Sequence[Any] = ()) -> Any:
    """The single value that a query gives."""
    row = db.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def _locked_positions(db: Connection[Any], partitions: Collection[Partition]) -> dict[Partition, int]:
    """The positions of partitions, locked until the end of the transaction; 0 for new ones."""
    asked = list(partitions)
    rows = db.execute(
        _LOCK_POSITIONS,
        ([one.topic for one in asked], [one.topic_id for one in asked], [one.number for one in asked]),
    ).fetchall()
    return {Partition(topic, topic_id, number): offset for topic, topic_id, number, offset in rows}


def _tell(db: Connection[Any], settled: Settled, receivers: list[str], now: int) -> None:
    """Write what receivers know from now on, the messages that tell them, and a delivery of each to every receiver."""
    known = [known for _, known in settled.states]
    db.execute(
        _KEEP_KNOWN,
        (
            [alert.alert_id for alert, _ in settled.states],
            [one.told.value if one.told else None for one in known],
            [one.transitions for one in known],
        ),
    )
    alerts = [alert for _, alert in settled.messages]
    messages = db.execute(
        _ADD_MESSAGES,
        {
            "now": now,
            "message_ids": [message_id for message_id, _ in settled.messages],
            "alert_ids": [alert.alert_id for alert in alerts],
            "bodies": [alert.body for alert in alerts],
            "event_times": [alert.event_time for alert in alerts],
            "broker_times": [alert.raw_broker_time for alert in alerts],
            "detected": [alert.detected_at for alert in alerts],
            "traces": [alert.trace_context for alert in alerts],
        },
    ).fetchall()
    db.execute(
        _ADD_DELIVERIES,
        (now, [sequence for sequence, _ in messages], [alert_id for _, alert_id in messages], receivers),
    )
