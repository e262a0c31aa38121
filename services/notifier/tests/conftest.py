"""Fakes and builders for the notifier's tests."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from cardwatch_notifier.alerts import Alert, alert_from_record
from cardwatch_notifier.outbox import Arrival, Message, Partition
from cardwatch_notifier.receiver import Delivered, Outcome
from cardwatch_notifier.sqlite_outbox import SqliteOutbox

SECOND = 1_000_000


class Clock:
    """Microseconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_795_500_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


class Inline(Executor):
    """Runs what it is given at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class FakeReceiver:
    """Keeps what it is given; answers with ``outcomes`` first, then takes everything."""

    target = "there"
    concurrency = 4

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
        """Nothing to let go of."""


def record(name: str, status: str = "raised", mode: str = "live", **fields: Any) -> dict[str, Any]:
    """An alert as decoded from Kafka; the same ``name`` is the same alert."""
    at = 1_795_499_990 * SECOND
    return {
        "alert_id": alert_id(name),
        "status": status,
        "rule_id": "card-velocity",
        "rule_version": 1,
        "rule_title": "Five payments with one card within two minutes",
        "severity": "high",
        "mode": mode,
        "scope": "card",
        "key": "token",
        "transaction_id": f"t-{name}",
        "event_time": at,
        "card_token": "0123456789abcdef0123456789abcdef",
        "card_bin": "400000",
        "card_last_four": "0002",
        "merchant_id": "m-17",
        "country": "DE",
        "amount_minor": 123_456,
        "currency": "EUR",
        "base_amount_minor": 123_456,
        "measures": [
            {"name": "payments", "expression": "count(*)", "window_us": 120 * SECOND, "value": 5, "text": None}
        ],
        "window_start": at - 120 * SECOND,
        "evidence_transaction_ids": ["t-0", f"t-{name}"],
        "evidence_count": 5,
        "raw_broker_time": at + SECOND,
        "detected_at": at + 2 * SECOND,
        "suppressed_by": None,
        **fields,
    }


def alert_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


PARTITION = Partition("alerts.v1", "topic-id", 0)


def arrival(offset: int, name: str, status: str = "raised", mode: str = "live") -> Arrival:
    return Arrival(PARTITION, offset, alert(name, status, mode))


def alert(name: str, status: str = "raised", mode: str = "live") -> Alert:
    return alert_from_record(record(name, status, mode))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[SqliteOutbox]:
    box = SqliteOutbox(tmp_path / "outbox.db")
    box.attach("webhook", "there", 0)
    yield box
    box.close()


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
        record=record,
    )
