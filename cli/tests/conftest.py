"""Rules, lists and statuses in memory, for commands that would otherwise need a broker."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from cardwatch_cli.connections import Connections
from cardwatch_cli.main import app
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_kafka.range_reader import in_batches
from cardwatch_rulebook.approvals import Approval
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.connect import NO_COPIES, Copies, Stores
from cardwatch_rulebook.lists import ListEntry
from cardwatch_rulebook.log import LogWithCopies
from cardwatch_rulebook.messages import Reader, Writer
from cardwatch_rulebook.principal import Principal
from cardwatch_rulebook.status import RuleStatus
from cardwatch_rulebook.stores import ApprovalStore, ListStore, RuleStore, StatusStore
from typer.testing import CliRunner, Result


class FakeLog:
    """One reader of a topic, which is a list in memory."""

    def __init__(self, topic: list[ReceivedMessage]) -> None:
        self.topic = topic
        self.position = 0

    def read(self) -> Iterator[Sequence[ReceivedMessage]]:
        entries = self.topic[self.position :]
        self.position = len(self.topic)
        return in_batches(entries)

    def append(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self.topic += [ReceivedMessage("topic", 0, len(self.topic), key.encode(), value) for key, value in messages]

    def close(self) -> None:
        pass


class Deployment:
    """The topics of a broker, kept from one command to the next."""

    def __init__(self) -> None:
        self.rules: list[ReceivedMessage] = []
        self.lists: list[ReceivedMessage] = []
        self.statuses: list[ReceivedMessage] = []
        self.approvals: list[ReceivedMessage] = []
        self.principal = Principal("User:anna", authenticated=True)
        self.topic_reader: Any = None

    @contextmanager
    def open_stores(self, settings: Any, copies: Copies = NO_COPIES) -> Iterator[Stores]:
        writer = Writer(lambda record: json.dumps(record).encode())
        yield Stores(
            RuleStore(
                LogWithCopies(FakeLog(self.rules), copies.get("rules.v1", ())),
                Reader(json.loads, Change.from_record),
                writer,
            ),
            ListStore(
                LogWithCopies(FakeLog(self.lists), copies.get("lists.v1", ())),
                Reader(json.loads, ListEntry.from_record),
                writer,
            ),
            StatusStore(FakeLog(self.statuses), Reader(json.loads, RuleStatus.from_record)),
            ApprovalStore(FakeLog(self.approvals), Reader(json.loads, Approval.from_record), writer),
        )

    def run(self, *arguments: object, **more: Any) -> Result:
        """Run ``cardwatch`` with these arguments, connected to this deployment."""
        connections = Connections(
            open_stores=self.open_stores, principal=lambda settings: self.principal, topic_reader=self.topic_reader
        )
        return CliRunner().invoke(app, list(map(str, arguments)), obj=connections, **more)

    def report_status(self, status: RuleStatus) -> None:
        """Publish a detector's status."""
        FakeLog(self.statuses).append([(status.key, json.dumps(status.record()).encode())])


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.delenv("CARDWATCH_USER", raising=False)
    return Deployment()
