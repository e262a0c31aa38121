"""Snapshots and the thread that keeps them up to date, without a broker."""

import queue
import time
from collections.abc import Callable
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError, RegistryUnavailableError
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_kafka.topic_follower import FollowedBatch
from cardwatch_rulebook import planning
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.definitions import parse_definition
from cardwatch_rulebook.follower import Follower
from cardwatch_rulebook.lists import Kind, ListEntry
from cardwatch_rulebook.planning import Author
from cardwatch_rulebook.snapshot import SnapshotBuilder
from cardwatch_rules.model import Mode, Rule

ANNA = Author("anna")
HOUR_US = 3_600_000_000
TOPICS = frozenset({"rules.v1", "lists.v1"})


class Builder:
    """A snapshot builder and the rulebook that its changes come from."""

    def __init__(self, kit: Any, parse: Callable[..., Rule] = parse_definition) -> None:
        self.kit = kit
        self.store = kit.rule_store()
        self.snapshots = SnapshotBuilder({"card": HOUR_US}, parse)

    def __call__(self, *plans: planning.Plan) -> Any:
        for outcome in self.store.carry_out(plans):
            if outcome.change is not None:
                self.snapshots.take_change(outcome.change)
        return self.snapshots.build()


@pytest.fixture
def builder(kit: Any) -> Builder:
    return Builder(kit)


def test_a_snapshot_has_mode_and_version_of_the_rulebook(builder: Builder) -> None:
    kit = builder.kit
    snapshot = builder(planning.apply(kit.definition("b", version=4), ANNA), planning.apply(kit.definition("a"), ANNA))
    assert [(rule.rule_id, rule.version, rule.mode) for rule in snapshot.rules] == [
        ("a", 1, Mode.LIVE),
        ("b", 4, Mode.LIVE),
    ]
    assert (snapshot.revisions, snapshot.versions, snapshot.generation) == ({"a": 1, "b": 1}, {"a": 1, "b": 4}, 1)
    paused = builder(planning.pause("b", ANNA), planning.delete("a", ANNA))
    assert [(rule.rule_id, rule.mode) for rule in paused.rules] == [("b", Mode.PAUSED)]
    assert (paused.revisions, paused.generation) == ({"b": 2}, 2)
    assert builder.snapshots.build() is paused


def test_a_definition_is_parsed_once(kit: Any) -> None:
    parsed: list[str] = []

    def parse(text: str, *more: Any) -> Rule:
        parsed.append(text)
        if len(parsed) > 2:
            raise ZeroDivisionError
        return parse_definition(text, *more)

    builder = Builder(kit, parse)
    builder(planning.apply(kit.definition("a"), ANNA), planning.apply(kit.definition("b"), ANNA))
    assert len(parsed) == 2
    snapshot = builder(planning.pause("a", ANNA))
    assert len(parsed) == 2
    assert [rule.mode for rule in snapshot.rules] == [Mode.PAUSED, Mode.LIVE]
    snapshot = builder(planning.apply(kit.definition("a", 9), ANNA))
    assert len(parsed) == 3
    assert "ZeroDivisionError" in snapshot.broken["a"]
    assert [rule.rule_id for rule in snapshot.rules] == ["b"]


def test_a_broken_rule_affects_no_other(builder: Builder) -> None:
    kit = builder.kit
    builder(*(planning.apply(kit.definition(name), ANNA) for name in ("a", "b", "c", "d")))
    latest = builder.store.read().latest

    def broken(rule_id: str, definition: str) -> None:
        change = latest(rule_id)
        builder.snapshots.take_change(
            Change.from_record({**change.record(), "revision": 2, "rule_version": 2, "definition": definition})
        )

    broken("a", "no: rule")
    broken("b", latest("b").definition.replace("2m", "3h"))
    broken("c", latest("d").definition)
    snapshot = builder.snapshots.build()
    assert [rule.rule_id for rule in snapshot.rules] == ["d"]
    assert sorted(snapshot.broken) == ["a", "b", "c"]
    assert snapshot.revisions == {"a": 2, "b": 2, "c": 2, "d": 1}
    assert "1h" in snapshot.broken["b"] or "3600" in snapshot.broken["b"]
    assert "defines another rule, d" in snapshot.broken["c"]


@pytest.mark.parametrize("version", [-1, 0, -(2**31), 2**31])
def test_a_rule_with_a_version_that_no_alert_can_have_is_broken(builder: Builder, version: int) -> None:
    builder(*(planning.apply(builder.kit.definition(name), ANNA) for name in ("a", "b")))
    first = builder.store.read().latest("a")
    builder.snapshots.take_change(Change.from_record({**first.record(), "revision": 2, "rule_version": version}))
    snapshot = builder.snapshots.build()
    assert [rule.rule_id for rule in snapshot.rules] == ["b"]
    assert f"revision 2 of rule a has the version {version}, expected 1 to 2147483647" in snapshot.broken["a"]
    builder.snapshots.take_change(Change.from_record({**first.record(), "revision": 3, "rule_version": 3}))
    assert {rule.rule_id: rule.version for rule in builder.snapshots.build().rules} == {"a": 3, "b": 1}


def test_lists_in_a_snapshot(builder: Builder) -> None:
    def take(name: str, value: str, present: bool = True) -> None:
        builder.snapshots.take_entry(ListEntry(name, Kind.MERCHANT, value, present, "", "anna", 1))

    take("trusted", "m1")
    take("risky", "m2")
    first = builder.snapshots.build()
    assert first.lists == {"trusted": {"m1"}, "risky": {"m2"}}
    take("trusted", "m1")
    assert builder.snapshots.build() is first, "a repeated entry changes nothing"
    take("trusted", "m1", present=False)
    second = builder.snapshots.build()
    assert second.lists == {"trusted": frozenset(), "risky": {"m2"}}
    assert second.lists["risky"] is first.lists["risky"]
    assert first.lists["trusted"] == {"m1"}, "a snapshot does not change"


class FakeFeed:
    def __init__(self) -> None:
        self.batches: queue.Queue[FollowedBatch] = queue.Queue()
        self.closed = False

    topics = TOPICS

    def poll(self, timeout_seconds: float) -> FollowedBatch:
        try:
            return self.batches.get(timeout=timeout_seconds)
        except queue.Empty:
            return FollowedBatch()

    def close(self) -> None:
        self.closed = True


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_nothing_is_shown_before_everything_was_read(builder: Builder) -> None:
    kit, feed, read = builder.kit, FakeFeed(), builder.kit.change_reader()
    builder.store.carry_out([planning.apply(kit.definition(name), ANNA) for name in ("a", "b")])
    one, other = kit.rules.entries
    with Follower(feed, builder.snapshots, lambda entry: builder.snapshots.take_change(read(entry))) as follower:
        feed.batches.put(FollowedBatch((one,), frozenset({"lists.v1"})))
        with pytest.raises(CardwatchError, match=r"lists\.v1 and rules\.v1 could not be read within 0\.3 s"):
            follower.wait_until_read(0.3)
        assert follower.snapshot().generation == 0
        feed.batches.put(FollowedBatch((other,), frozenset({"rules.v1"})))
        assert [rule.rule_id for rule in follower.wait_until_read(5).rules] == ["a", "b"]
        assert follower.alive
    assert feed.closed
    assert not follower.alive
    assert follower.snapshot().generation == 1


def test_an_empty_deployment_has_been_read_too(builder: Builder) -> None:
    feed = FakeFeed()
    with Follower(feed, builder.snapshots, lambda entry: None) as follower:
        feed.batches.put(FollowedBatch(at_end=TOPICS))
        assert follower.wait_until_read(5).generation == 1


def test_outages_are_survived(builder: Builder) -> None:
    feed, taken, away = FakeFeed(), [], [1, 1, 1]

    def take(entry: ReceivedMessage) -> None:
        if away:
            away.pop()
            raise RegistryUnavailableError("the registry is away")
        taken.append(entry.offset)

    with Follower(feed, builder.snapshots, take, registry_retry_seconds=0.01) as follower:
        feed.batches.put(FollowedBatch(problem="broker away"))
        with pytest.raises(CardwatchError, match=r"within 0\.3 s: broker away"):
            follower.wait_until_read(0.3)
        feed.batches.put(
            FollowedBatch(
                (ReceivedMessage("rules.v1", 0, 0, b"", b""), ReceivedMessage("rules.v1", 0, 1, b"", b"")), TOPICS
            )
        )
        follower.wait_until_read(5)
        assert taken == [0, 1]


def test_a_defect_ends_the_thread_and_keeps_the_snapshot(builder: Builder) -> None:
    feed = FakeFeed()

    def take(entry: ReceivedMessage) -> None:
        raise ZeroDivisionError

    follower = Follower(feed, builder.snapshots, take)
    with follower:
        feed.batches.put(FollowedBatch(at_end=TOPICS))
        snapshot = follower.wait_until_read(5)
        feed.batches.put(FollowedBatch((ReceivedMessage("rules.v1", 0, 0, b"", b""),)))
        eventually(lambda: not follower.alive)
        assert follower.snapshot() is snapshot
        assert feed.closed
