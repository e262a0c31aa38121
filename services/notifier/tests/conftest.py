"""Fakes and builders for the notifier's tests."""

import contextlib
import math
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, Protocol

import pytest
from cardwatch_notifier.alerts import Alert
from cardwatch_notifier.delivery.receiver import Delivered, Outcome
from cardwatch_notifier.intake.decoding import alert_from_record
from cardwatch_notifier.outbox.postgres import schema as postgres_schema
from cardwatch_notifier.outbox.postgres.database import Database
from cardwatch_notifier.outbox.postgres.postgres_outbox import PostgresOutbox
from cardwatch_notifier.outbox.protocol import Arrival, Attempt, Message, Outbox, SourcePartition
from cardwatch_notifier.outbox.sqlite.sqlite_outbox import SqliteOutbox
from support.postgres_server import PostgresServer, server_or_skip
from support.records import alert_record, enriched_record

SECOND = 1_000_000
FAR_AHEAD = 2**62


class Clock:
    """Microseconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_795_500_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


class Inline(Executor):
    """An executor that runs each task at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class FakeReceiver:
    """Records the messages; answers with ``outcomes`` first, then accepts everything."""

    target = "there"
    concurrency = 4
    deadline_seconds = 10.0

    def __init__(self, name: str = "webhook", outcomes: list[Outcome] | None = None) -> None:
        self.name = name
        self.outcomes = outcomes or []
        self.messages: list[Message] = []

    @property
    def ids(self) -> list[str]:
        return [message.message_id for message in self.messages]

    def deliver(self, message: Message) -> Outcome:
        self.messages.append(message)
        return self.outcomes.pop(0) if self.outcomes else Delivered()

    def close(self) -> None:
        """There is nothing to close."""


def record(name: str, status: str = "raised", mode: str = "live", **fields: Any) -> dict[str, Any]:
    """An alert as decoded from Kafka; the same ``name`` is the same alert."""
    at = 1_795_499_990 * SECOND
    transaction = enriched_record(
        transaction_id=f"t-{name}",
        event_time=at,
        card_last_four="0002",
        merchant_id="m-17",
        amount_minor=123_456,
        raw_broker_time=at + SECOND,
    )
    about = {"alert_id": alert_id(name), "status": status, "mode": mode, "key": "token"}
    evidence = {"evidence_transaction_ids": ["t-0", f"t-{name}"]}
    return alert_record(transaction, **{**about, **evidence, **fields})


def alert_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


PARTITION = SourcePartition("alerts.v1", "topic-id", 0)


def arrival(offset: int, name: str, status: str = "raised", mode: str = "live") -> Arrival:
    return Arrival(PARTITION, offset, alert(name, status, mode))


def alert(name: str, status: str = "raised", mode: str = "live") -> Alert:
    return alert_from_record(record(name, status, mode))


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Place(Protocol):
    """The storage of an outbox, SQLite or PostgreSQL, which a test can open several times."""

    def open(self, lease_seconds: float = 30.0) -> Outbox:
        """Open the outbox; create it if it does not exist."""

    def settings(self) -> dict[str, str]:
        """The environment variables that name it."""

    def empty(self) -> None:
        """Replace it by a new, empty one."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The result of a query on its tables."""

    def run_leases_out(self) -> None:
        """Let the leases of ended processes run out."""


class SqlitePlace:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "outbox.db"

    def open(self, lease_seconds: float = math.inf) -> SqliteOutbox:
        return SqliteOutbox(self.path)

    def settings(self) -> dict[str, str]:
        return {"CARDWATCH_NOTIFIER_OUTBOX_PATH": str(self.path)}

    def empty(self) -> None:
        for path in self.path.parent.glob("outbox.db*"):
            path.unlink()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()

    def run_leases_out(self) -> None:
        """The leases ended with the process."""


class PostgresPlace:
    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        self.name = name
        self.database = Database(server.url(name), lambda: "")

    def open(self, lease_seconds: float = 30.0) -> PostgresOutbox:
        return PostgresOutbox(self.database, lease_seconds)

    def settings(self) -> dict[str, str]:
        return {"CARDWATCH_NOTIFIER_OUTBOX_URL": self.server.url(self.name)}

    def empty(self) -> None:
        self.rows("TRUNCATE positions, alerts, messages, deliveries, receivers RESTART IDENTITY")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.server.execute(query, self.name)

    def run_leases_out(self) -> None:
        self.rows("UPDATE deliveries SET leased_until = now()")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server."""
    with server_or_skip() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> PostgresPlace:
    """A database with the schema in it, for all tests."""
    place = PostgresPlace(postgres, postgres.new_database())
    postgres_schema.migrate(place.database)
    return place


@pytest.fixture
def shared(migrated: PostgresPlace) -> PostgresPlace:
    """A place that several may open at once, empty."""
    migrated.empty()
    return migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of each kind."""
    if request.param == "sqlite":
        return SqlitePlace(tmp_path)
    postgres_place: PostgresPlace = request.getfixturevalue("shared")
    return postgres_place


@pytest.fixture
def outbox(place: Place) -> Iterator[Outbox]:
    """An outbox of each kind, with one receiver."""
    box = place.open()
    box.attach("webhook", "there", 0)
    yield box
    box.close()


def keep(outbox: Outbox, *attempts: Attempt, receiver: str = "webhook") -> int:
    """Lease the due deliveries, record the attempts, and release the other leases."""
    leased = {delivery.message.sequence for delivery in outbox.lease(receiver, FAR_AHEAD, 100)}
    kept = outbox.record(receiver, attempts)
    outbox.release(receiver, leased - {attempt.sequence for attempt in attempts})
    return kept


def due(outbox: Outbox, receiver: str = "webhook", now: int = 10) -> list[Any]:
    """The due deliveries; their leases are released again."""
    deliveries = outbox.lease(receiver, now, 100)
    outbox.release(receiver, [delivery.message.sequence for delivery in deliveries])
    return deliveries


class Statements:
    """A wrapper of a database connection that counts statements and simulates a crash at one of them."""

    def __init__(self, connection: Any, passed: list[str], die_at: int | None, crash: type[BaseException]) -> None:
        self._connection = connection
        self._passed = passed
        self._die_at = die_at
        self._crash = crash

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *parameters: Any) -> Any:
        if statement != "ROLLBACK":  # SQLite's answer to the crash, not a statement of the dead
            self._next(statement)
        return self._connection.execute(statement, *parameters)

    def executemany(self, statement: str, *parameters: Any) -> Any:
        self._next(statement)
        return self._connection.executemany(statement, *parameters)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        with self._connection.transaction():
            yield
            self._next("COMMIT")

    def _next(self, statement: str) -> None:
        if len(self._passed) == self._die_at:
            if not isinstance(self._connection, sqlite3.Connection):
                self._connection.close()  # without ending the transaction at the server
            raise self._crash(statement)
        self._passed.append(statement)


@contextlib.contextmanager
def mortal(outbox: Any, die_at: int | None, crash: type[BaseException]) -> Iterator[list[str]]:
    """Let an outbox crash at a statement; yields the statements before it."""
    passed: list[str] = []
    if isinstance(outbox, SqliteOutbox):
        outbox._connection = Statements(outbox._connection, passed, die_at, crash)  # type: ignore[assignment]
        yield passed
        return
    inner = outbox._connections.connection

    @contextlib.contextmanager
    def counted() -> Iterator[Any]:
        with inner() as connection:
            yield Statements(connection, passed, die_at, crash)

    outbox._connections.connection = counted
    yield passed


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


@pytest.fixture
def kit() -> Any:
    """The builders and fakes of this file: tests have no package to import them from."""
    import types

    return types.SimpleNamespace(
        Inline=Inline,
        FakeReceiver=FakeReceiver,
        PARTITION=PARTITION,
        SECOND=SECOND,
        alert=alert,
        alert_id=alert_id,
        arrival=arrival,
        due=due,
        keep=keep,
        mortal=mortal,
        wait_until=wait_until,
        record=record,
    )
