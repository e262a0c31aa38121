"""A topic that is a list in memory, and rules and stores on it."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_kafka.range_reader import in_batches
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.definitions import Definition, read_definitions
from cardwatch_rulebook.lists import ListEntry
from cardwatch_rulebook.messages import Reader, Writer
from cardwatch_rulebook.stores import ListStore, RuleStore
from support.registry import InMemoryRegistry

SCHEMA_IDS = {"rule": 1, "list_entry": 2, "rule_status": 3}


class FakeTopic:
    """The messages of a topic; each log on it has its own position."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[ReceivedMessage] = []
        self.before_append: Callable[[], None] = lambda: None
        """Called once before the next append, to simulate a faster writer."""

    def put(self, key: str, value: bytes | None) -> None:
        self.entries.append(ReceivedMessage(self.name, 0, len(self.entries), key.encode(), value))

    def log(self) -> "FakeLog":
        return FakeLog(self)


class FakeLog:
    def __init__(self, topic: FakeTopic) -> None:
        self.topic = topic
        self.position = 0
        self.closed = False

    def read(self) -> Iterator[Sequence[ReceivedMessage]]:
        entries = self.topic.entries[self.position :]
        self.position = len(self.topic.entries)
        return in_batches(entries)

    def append(self, messages: Sequence[tuple[str, bytes]]) -> None:
        faster, self.topic.before_append = self.topic.before_append, lambda: None
        faster()
        for key, value in messages:
            self.topic.put(key, value)

    def close(self) -> None:
        self.closed = True


def rule_yaml(rule_id: str = "spree", threshold: int = 5, **more: object) -> str:
    """A rule file of one rule."""
    lines = [f"  {name}: {value}" for name, value in more.items()]
    return "\n".join(
        [
            f"- id: {rule_id}",
            "  title: Many payments",
            "  scope: card",
            "  measures:",
            "    payments: {window: 2m, is: count(*)}",
            f"  when: payments >= {threshold}",
            *lines,
        ]
    )


class Kit:
    """Creates stores and definitions for tests."""

    rule_yaml = staticmethod(rule_yaml)

    def __init__(self) -> None:
        self.rules = FakeTopic("rules.v1")
        self.lists = FakeTopic("lists.v1")
        self.registry = InMemoryRegistry(SCHEMA_IDS)

    def definition(self, rule_id: str = "spree", threshold: int = 5, **more: object) -> Definition:
        return read_definitions(rule_yaml(rule_id, threshold, **more), "test.yaml")[0]

    def change_reader(self) -> Reader[Change]:
        decoder = Decoder("rule", self.registry)
        return Reader(decoder, Change.from_record, look_up=decoder.look_up)

    def entry_reader(self) -> Reader[ListEntry]:
        decoder = Decoder("list_entry", self.registry)
        return Reader(decoder, ListEntry.from_record, look_up=decoder.look_up)

    def writer(self, schema: str) -> Writer:
        return Writer(Encoder(schema, SCHEMA_IDS[schema]))

    def rule_store(self) -> RuleStore:
        return RuleStore(self.rules.log(), self.change_reader(), self.writer("rule"))

    def list_store(self) -> ListStore:
        return ListStore(self.lists.log(), self.entry_reader(), self.writer("list_entry"))


@pytest.fixture
def kit() -> Kit:
    return Kit()
