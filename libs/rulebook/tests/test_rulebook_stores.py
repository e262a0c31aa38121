"""Stores on a topic in memory: no change is lost silently, and an invalid message stops no reader."""

import io
import json
import struct
import time
from typing import Any

import fastavro
import pytest
from cardwatch_contracts.errors import CardwatchError, RegistryUnavailableError
from cardwatch_contracts.schemas import parse, schema_text
from cardwatch_contracts.wire import HEADER
from cardwatch_rulebook import planning
from cardwatch_rulebook.lists import Kind, ListEntry
from cardwatch_rulebook.log import LogWithCopies
from cardwatch_rulebook.planning import Author
from cardwatch_rulebook.snapshot import Snapshot, SnapshotBuilder
from cardwatch_rulebook.status import RuleStatus, State
from cardwatch_rulebook.stores import RuleStore, StatusReporter
from cardwatch_rules.model import Mode
from support.registry import InMemoryRegistry

RULE_ID = 1
ANNA, BEN = Author("anna"), Author("ben")


def test_apply_and_read_in_another_process(kit: Any) -> None:
    (outcome,) = kit.rule_store().carry_out([planning.apply(kit.definition(), ANNA)])
    assert (outcome.before, outcome.overtaken_by) == (None, ())
    assert list(kit.rule_store().read().current()) == [outcome.change]
    (again,) = kit.rule_store().carry_out([planning.apply(kit.definition(), BEN)])
    assert (again.before, again.change) == (outcome.change, None)
    assert len(kit.rules.entries) == 1


def test_a_conflicting_change_is_repeated_on_top_and_reported(kit: Any) -> None:
    anna, ben = kit.rule_store(), kit.rule_store()
    anna.carry_out([planning.apply(kit.definition(), ANNA)])
    kit.rules.before_append = lambda: ben.carry_out([planning.pause("spree", BEN)])
    changed, other = anna.carry_out(
        [planning.apply(kit.definition(threshold=9), ANNA), planning.apply(kit.definition("other"), ANNA)]
    )
    assert [change.changed_by for change in changed.overtaken_by] == ["ben"]
    assert (changed.change.revision, changed.change.version, changed.change.mode) == (3, 2, Mode.PAUSED)
    assert (other.change.revision, other.overtaken_by) == (1, ())
    assert [change.changed_by for change in ben.read().history("spree")] == ["anna", "ben", "anna"]
    assert len(kit.rules.entries) == 5, "the change that lost stays in the topic and counts for nobody"


def test_a_conflict_with_the_same_change_leaves_nothing_to_do(kit: Any) -> None:
    anna, ben = kit.rule_store(), kit.rule_store()
    kit.rules.before_append = lambda: ben.carry_out([planning.apply(kit.definition(), BEN)])
    (outcome,) = anna.carry_out([planning.apply(kit.definition(), ANNA)])
    assert outcome.change is None
    assert [change.changed_by for change in outcome.overtaken_by] == ["ben"]


def test_repeated_conflicts_end_in_an_error(kit: Any) -> None:
    anna, ben = kit.rule_store(), kit.rule_store()
    numbers = iter(range(10, 100))

    def bens_turn() -> None:
        kit.rules.before_append = lambda: None
        ben.carry_out([planning.apply(kit.definition(threshold=next(numbers)), BEN)])
        kit.rules.before_append = bens_turn

    kit.rules.before_append = bens_turn
    with pytest.raises(CardwatchError, match="others keep changing spree: 10 attempts were overtaken"):
        anna.carry_out([planning.apply(kit.definition(), ANNA)])


def test_a_plan_that_fails_later_says_what_was_written(kit: Any) -> None:
    anna, ben = kit.rule_store(), kit.rule_store()
    anna.carry_out([planning.apply(kit.definition("a"), ANNA), planning.apply(kit.definition("b"), ANNA)])
    kit.rules.before_append = lambda: ben.carry_out([planning.delete("b", BEN)])
    with pytest.raises(CardwatchError, match=r"rule b was deleted by ben \(.* \(written before: a\)"):
        anna.carry_out([planning.pause("a", ANNA), planning.pause("b", ANNA)])


def test_nothing_is_written_where_one_plan_fails_at_once(kit: Any) -> None:
    with pytest.raises(CardwatchError, match="there is no rule b"):
        kit.rule_store().carry_out([planning.apply(kit.definition("a"), ANNA), planning.pause("b", ANNA)])
    assert kit.rules.entries == []


def test_bad_messages_are_skipped_and_counted(kit: Any) -> None:
    store = kit.rule_store()
    kit.rules.put("x", None)
    kit.rules.put("x", b"garbage")
    (outcome,) = store.carry_out([planning.apply(kit.definition(), ANNA)])
    strange = {**outcome.change.record(), "revision": 2, "mode": "sleeping"}

    class Strange:
        key = "strange"

        def record(self) -> Any:
            return strange

    kit.rules.put(*kit.writer("rule")(Strange()))
    assert store.read().latest("spree") == outcome.change
    assert store.skipped == 3


def test_thousands_of_unknown_schema_ids_cost_one_request(kit: Any) -> None:
    (first,) = kit.rule_store().carry_out([planning.apply(kit.definition(), ANNA)])
    record = kit.rules.entries[0].value[5:]
    for number in range(3_000):
        kit.rules.put("x", struct.pack(">bI", 0, 1_000_000 + number) + record)
    (second,) = kit.rule_store().carry_out([planning.apply(kit.definition(threshold=9), ANNA)])
    registry = kit.registry = InMemoryRegistry({"rule": RULE_ID})
    store, began = kit.rule_store(), time.monotonic()
    assert list(store.read().history("spree")) == [first.change, second.change]
    assert store.skipped == 3_000
    assert len(registry.subjects) == 1
    assert time.monotonic() - began < 60, "some 600 s with one request per id"
    kit.rules.put("x", struct.pack(">bI", 0, 7) + record)
    registry.texts[7] = registry.texts[RULE_ID]
    assert len(list(store.read().history("spree"))) == 2
    assert store.skipped == 3_000, "what was registered before a later message is asked for"


def test_a_batch_that_could_not_be_taken_is_read_again(kit: Any) -> None:
    (first,) = kit.rule_store().carry_out([planning.apply(kit.definition(), ANNA)])
    copies = list(kit.rules.entries)
    store = RuleStore(LogWithCopies(kit.rules.log(), copies), kit.change_reader(), kit.writer("rule"))
    kit.registry.failures.append(RegistryUnavailableError("it is away"))
    with pytest.raises(RegistryUnavailableError):
        store.read()
    assert list(store.read().history("spree")) == [first.change]


@pytest.mark.parametrize("field", ["comment", "changed_by", "definition"])
def test_no_card_number_enters_the_topic(kit: Any, field: str) -> None:
    number = "4111 1111 1111 1111"
    wanted = kit.definition(title=number) if field == "definition" else kit.definition()
    author = {"comment": Author("anna", number), "changed_by": Author(number)}.get(field, ANNA)
    with pytest.raises(CardwatchError, match=f"{field} holds a card number") as caught:
        kit.rule_store().carry_out([planning.apply(wanted, author)])
    assert number not in str(caught.value)
    assert kit.rules.entries == []


def test_lists(kit: Any) -> None:
    def entry(value: str, present: bool = True) -> ListEntry:
        return ListEntry("trusted", Kind.MERCHANT, value, present, "", "anna", 1)

    store = kit.list_store()
    store.append([entry("m1"), entry("m2"), entry("m1", present=False)])
    kit.lists.put("x", b"garbage")
    book = kit.list_store().read()
    assert (book.names(), book.kind("trusted"), book.values("trusted")) == (["trusted"], Kind.MERCHANT, {"m2"})
    assert list(book.entries("trusted")) == ["m2"]
    assert (book.kind("none"), book.values("none")) == (None, frozenset())


def test_a_rule_without_a_revision_counts_as_its_first_change(kit: Any) -> None:
    older = json.loads(schema_text("rule"))
    older["fields"] = [field for field in older["fields"] if "default" not in field]
    record = {
        "rule_id": "old",
        "rule_version": 3,
        "scope": "card",
        "mode": "live",
        "definition": kit.definition("old").text,
        "changed_by": "anna",
        "changed_at": 1,
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parse(json.dumps(older)), record)
    kit.registry.texts[9] = json.dumps(older)
    kit.rules.put("old", HEADER.pack(0, 9) + out.getvalue())
    (outcome,) = kit.rule_store().carry_out([planning.pause("old", BEN)])
    assert (outcome.before.revision, outcome.change.revision, outcome.change.version) == (1, 2, 3)


class FakeStatusTopic:
    def __init__(self) -> None:
        self.keys: list[str] = []

    def write(self, messages: Any) -> None:
        self.keys += [key for key, _ in messages]

    def close(self) -> None:
        pass


def snapshot_of(kit: Any, *plans: Any) -> Snapshot:
    store = kit.rule_store()
    store.carry_out(plans)
    builder = SnapshotBuilder({"card": 60_000_000 * 10})
    for entry in kit.rules.entries:
        builder.take_change(kit.change_reader()(entry))
    return builder.build()


def test_a_detector_reports_each_change_of_state_once(kit: Any) -> None:
    topic, told = FakeStatusTopic(), []

    def write(item: RuleStatus) -> tuple[str, bytes]:
        told.append((item.rule_id, item.revision, item.state, item.error))
        return item.key, b""

    reporter = StatusReporter(topic, write, "velocity")  # type: ignore[arg-type]
    first = snapshot_of(kit, *(planning.apply(kit.definition(name), ANNA) for name in ("a", "b", "c")))
    reporter.report(first)
    reporter.report(first)
    assert told == [(name, 1, State.ACTIVE, "") for name in "abc"]
    assert topic.keys == ["velocity|a", "velocity|b", "velocity|c"]
    told.clear()
    second = snapshot_of(kit, planning.pause("a", ANNA), planning.delete("b", ANNA))
    reporter.report(second, failing={"c": "it divides by zero", "unknown": "x"})
    reporter.report(second, failing={"c": "it divides by zero"})
    assert told == [
        ("a", 2, State.PAUSED, ""),
        ("b", 1, State.REMOVED, ""),
        ("c", 1, State.SET_ASIDE, "it divides by zero"),
    ]
    told.clear()
    reporter.report(second, scopes={"merchant"})
    assert [(rule_id, state) for rule_id, _, state, _ in told] == [("a", State.REMOVED), ("c", State.REMOVED)]


def test_a_report_waits_for_the_registry_without_stopping_the_detector(kit: Any) -> None:
    topic, away = FakeStatusTopic(), [True]

    def write(item: RuleStatus) -> tuple[str, bytes]:
        if away:
            raise RegistryUnavailableError("away")
        return item.key, b""

    reporter = StatusReporter(topic, write, "velocity")  # type: ignore[arg-type]
    snapshot = snapshot_of(kit, planning.apply(kit.definition(), ANNA))
    reporter.report(snapshot)
    assert topic.keys == []
    away.clear()
    reporter.report(snapshot)
    assert topic.keys == ["velocity|spree"]


def test_a_status_survives_a_round_trip(kit: Any) -> None:
    status = RuleStatus("velocity", "spree", 2, 1, State.SET_ASIDE, "why", 5)
    assert RuleStatus.from_record(status.record()) == status
    assert kit.writer("rule_status")(status)[0] == "velocity|spree"
