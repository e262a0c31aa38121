"""Fuzzed messages on the topics of rules, lists and statuses: every command answers, with a sentence if need be."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from cardwatch_contracts.topics import LISTS, RULE_APPROVALS, RULE_STATUS, RULES, Topic
from cardwatch_contracts.wire import Decoder, Encoder, Record
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_rulebook.approvals import Approval
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.connect import NO_COPIES, Copies, Stores
from cardwatch_rulebook.lists import ListEntry
from cardwatch_rulebook.messages import Reader, Writer
from cardwatch_rulebook.snapshot import SnapshotBuilder
from cardwatch_rulebook.status import RuleStatus
from cardwatch_rulebook.stores import ApprovalStore, ListStore, RuleStore, StatusStore
from support.fuzzing.kinds import fuzzed_messages, kinds
from support.random_examples import some_of
from support.registry import InMemoryRegistry

from .conftest import Deployment, FakeLog

MESSAGES: Final = some_of(1000)
SEED: Final = 20
IDS: Final = {"rule": 1, "list_entry": 2, "rule_status": 3, "rule_approval": 4}

pytestmark = pytest.mark.thorough


def encode(topic: Topic, record: Record) -> bytes:
    schema = str(topic.schema)
    return Encoder(schema, IDS[schema])(record)


class FuzzedDeployment(Deployment):
    """Its topics have messages of any kind."""

    def __init__(self) -> None:
        super().__init__()
        self._registry = InMemoryRegistry(IDS)
        by_name = {kind.topic.base_name: kind for kind in kinds(encode).values()}
        for topic, log in (
            (RULES, self.rules),
            (LISTS, self.lists),
            (RULE_STATUS, self.statuses),
            (RULE_APPROVALS, self.approvals),
        ):
            log += [
                ReceivedMessage(topic.base_name, 0, offset, one.key, one.value, one.headers)
                for offset, one in enumerate(fuzzed_messages(by_name[topic.base_name], SEED, MESSAGES))
            ]

    def reader(self, schema: str, item: Any) -> Reader[Any]:
        decoder = Decoder(schema, self._registry)
        return Reader(decoder, item.from_record, look_up=decoder.look_up)

    @contextmanager
    def open_stores(self, settings: Any, copies: Copies = NO_COPIES) -> Iterator[Stores]:
        yield Stores(
            RuleStore(FakeLog(self.rules), self.reader("rule", Change), Writer(Encoder("rule", IDS["rule"]))),
            ListStore(FakeLog(self.lists), self.reader("list_entry", ListEntry), Writer(Encoder("list_entry", 2))),
            StatusStore(FakeLog(self.statuses), self.reader("rule_status", RuleStatus)),
            ApprovalStore(
                FakeLog(self.approvals), self.reader("rule_approval", Approval), Writer(Encoder("rule_approval", 4))
            ),
        )


@pytest.fixture(scope="module")
def fuzzed() -> FuzzedDeployment:
    return FuzzedDeployment()


@pytest.mark.parametrize(
    "command",
    [
        ("rules", "list"), ("rules", "show", "r1"), ("rules", "history", "r1"), ("rules", "export"),
        ("rules", "pause", "r2"), ("lists", "show", "l1"), ("lists", "list"), ("lists", "export"),
        ("lists", "add", "l1", "x", "--kind", "merchant"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_command_answers(fuzzed: FuzzedDeployment, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_USER", "anna")
    result = fuzzed.run(*command)
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.output.strip()
    assert "Traceback" not in result.output


def test_a_snapshot_has_the_rules_that_are_valid(fuzzed: FuzzedDeployment) -> None:
    builder = SnapshotBuilder({"card": 10**12})
    read_change, read_entry = fuzzed.reader("rule", Change), fuzzed.reader("list_entry", ListEntry)
    for message in fuzzed.rules:
        change = read_change(message)
        if change is not None:
            builder.take_change(change)
    for message in fuzzed.lists:
        entry = read_entry(message)
        if entry is not None:
            builder.take_entry(entry)
    snapshot = builder.build(first=True)
    assert snapshot.rules
    assert len(snapshot.rules) + len(snapshot.broken) == len(snapshot.revisions)
