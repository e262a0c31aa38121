"""Rules and lists that change while the system runs, on the real broker and registry."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cardwatch_cli.main import app
from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.topics import LISTS, RULES
from cardwatch_rulebook import connect, planning
from cardwatch_rulebook.approvals import Approvals, approve
from cardwatch_rulebook.definitions import Definition, read_definitions
from cardwatch_rulebook.follower import Follower
from cardwatch_rulebook.lists import Kind, ListEntry
from cardwatch_rulebook.planning import Author
from cardwatch_rules.model import Mode
from cardwatch_rules.parse import parse_rules
from cardwatch_service.settings import ServiceSettings
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

pytestmark = pytest.mark.integration

ANNA, BEN = Author("anna"), Author("ben")
HOUR_US = 3_600_000_000


def rule_text(rule_id: str, threshold: int = 5, window: str = "2m", more: str = "") -> str:
    return f"""
- id: {rule_id}
  title: Many payments with one card
  scope: card
  severity: high
  measures:
    payments: {{window: {window}, is: count(*)}}
    spent: {{window: {window}, is: sum(base_amount_minor), where: status = 'approved'}}
  when: payments >= {threshold} and spent > 1000
{more}"""


def definition(rule_id: str, threshold: int = 5, window: str = "2m", more: str = "") -> Definition:
    return read_definitions(rule_text(rule_id, threshold, window, more), "test")[0]


@pytest.fixture
def settings(platform: Any, topic_prefix: str) -> ServiceSettings:
    return ServiceSettings(
        kafka_bootstrap_servers=platform.bootstrap_servers,
        schema_registry_url=platform.registry_url,
        topic_prefix=topic_prefix,
    )


@pytest.fixture
def stores(settings: ServiceSettings) -> Iterator[connect.Stores]:
    with connect.open_stores(settings) as stores:
        yield stores


@pytest.fixture
def follower(settings: ServiceSettings) -> Iterator[Follower]:
    with connect.follower(settings, {"card": HOUR_US}) as follower:
        yield follower


@pytest.fixture
def cardwatch(platform: Any, topic_prefix: str) -> Callable[..., Result]:
    """Runs ``cardwatch …`` against the test's own deployment."""
    env = {**platform.environment(), "CARDWATCH_TOPIC_PREFIX": topic_prefix, "CARDWATCH_USER": "anna"}

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [*map(str, arguments)], env=env)
        assert result.exit_code == 0, result.output
        return result

    return run


def seconds_until(holds: Callable[[], bool], within: float = 10) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within
        time.sleep(0.002)
    return time.monotonic() - began


def test_apply_list_change_history(
    cardwatch: Callable[..., Result], settings: ServiceSettings, follower: Follower, tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(rule_text("many", more="  mode: shadow\n") + rule_text("far", window="2h"), encoding="utf-8")
    cardwatch("rules", "apply", file, "-m", "a first try")
    cardwatch("lists", "add", "trusted", "m1", "m2", "--kind", "merchant")
    seconds_until(lambda: len(follower.snapshot().revisions) == 2 and "trusted" in follower.snapshot().lists)
    reporter = connect.status_reporter(settings, "velocity")
    reporter.report(follower.snapshot())
    reporter.close()

    far, many = json.loads(cardwatch("rules", "list", "--json").stdout)
    assert (many["id"], many["mode"], many["version"], many["revision"]) == ("many", "shadow", 1, 1)
    assert [(state["detector"], state["state"]) for state in many["states"]] == [("velocity", "active")]
    assert [(state["state"], bool(state["error"])) for state in far["states"]] == [("set_aside", True)]

    cardwatch("rules", "promote", "many", "-m", "it was right", "--by", "ben")
    file.write_text(rule_text("many", threshold=6), encoding="utf-8")
    cardwatch("rules", "apply", file)
    cardwatch("rules", "delete", "far", "--yes")
    assert "velocity: active (still at revision 1)" in cardwatch("rules", "list").stdout
    history = json.loads(cardwatch("rules", "history", "many", "--json").stdout)
    assert [(change["stated_name"], change["what"], change["version"], change["comment"]) for change in history] == [
        ("anna", "new, shadow", 1, "a first try"),
        ("ben", "promoted", 1, "it was right"),
        ("anna", "changed when", 2, ""),
    ]
    seconds_until(lambda: follower.snapshot().revisions == {"many": 3})
    (rule,) = follower.snapshot().rules
    assert (rule.version, rule.mode, rule.when) == (2, Mode.LIVE, "payments >= 6 and spent > 1000")
    assert follower.snapshot().lists == {"trusted": {"m1", "m2"}}
    assert parse_rules(cardwatch("rules", "export").stdout) == (rule,)


def test_an_empty_deployment_is_read_at_once(stores: connect.Stores, follower: Follower) -> None:
    began = time.monotonic()
    assert list(stores.rules.read().current()) == []
    assert stores.lists.read().names() == []
    assert stores.statuses.read() == {}
    assert follower.wait_until_read(10).rules == ()
    assert time.monotonic() - began < 3


def test_a_change_reaches_the_follower_within_a_second(stores: connect.Stores, follower: Follower) -> None:
    follower.wait_until_read(10)
    stores.rules.carry_out([planning.apply(definition("a"), ANNA)])
    assert seconds_until(lambda: "a" in follower.snapshot().revisions) < 1
    delays = []
    for plan in (planning.pause("a", ANNA), planning.resume("a", ANNA), planning.apply(definition("a", 6), ANNA)):
        (outcome,) = stores.rules.carry_out([plan])
        assert outcome.change is not None
        revision = outcome.change.revision
        delays.append(seconds_until(lambda revision=revision: follower.snapshot().revisions["a"] == revision))
    assert max(delays) < 1, delays
    stores.lists.append([ListEntry("trusted", Kind.MERCHANT, "m1", True, "", "anna", 1)])
    assert seconds_until(lambda: follower.snapshot().lists.get("trusted") == {"m1"}) < 1
    (rule,) = follower.snapshot().rules
    assert (rule.version, rule.mode) == (2, Mode.LIVE)


def test_a_rule_goes_live_once_another_user_approves(settings: ServiceSettings, stores: connect.Stores) -> None:
    anna, ben = Author("User:anna", authenticated=True), Author("User:ben", authenticated=True)
    required = settings.model_copy(update={"rules_require_approval": True})
    with connect.follower(required, {"card": HOUR_US}) as follower:
        (shadow,) = stores.rules.carry_out([planning.apply(definition("many", more="  mode: shadow\n"), anna)])
        (live,) = stores.rules.carry_out([planning.promote("many", anna)])
        assert shadow.change is not None
        assert live.change is not None
        by_hand = approve(live.change, Approvals(), "many", ben)
        assert by_hand is not None
        stores.approvals.append([replace(by_hand, approved_by="User:anna")])
        seconds_until(lambda: follower.snapshot().revisions == {"many": 1})
        time.sleep(0.5)
        assert [rule.mode for rule in follower.snapshot().rules] == [Mode.SHADOW]
        stores.approvals.append([by_hand])
        seconds_until(lambda: follower.snapshot().revisions == {"many": 2})
        assert [rule.mode for rule in follower.snapshot().rules] == [Mode.LIVE]
        assert stores.approvals.read().of(live.change) == by_hand
    with connect.follower(required, {"card": HOUR_US}) as another:
        assert [rule.mode for rule in another.wait_until_read(10).rules] == [Mode.LIVE]


def test_bad_messages_and_broken_rules_stop_nobody(
    settings: ServiceSettings, stores: connect.Stores, follower: Follower
) -> None:
    producer = Producer(settings.kafka_config())
    for topic in (RULES, LISTS):
        producer.produce(topic.name(settings.topic_prefix), b"garbage", b"key", 0)
        producer.produce(topic.name(settings.topic_prefix), None, b"key", 0)
    assert producer.flush(10) == 0
    stores.rules.carry_out([planning.apply(definition("far", window="2h"), ANNA)])
    stores.rules.carry_out([planning.apply(definition("good"), ANNA)])
    assert stores.rules.skipped == 2
    seconds_until(lambda: len(follower.snapshot().revisions) == 2)
    snapshot = follower.snapshot()
    assert [rule.rule_id for rule in snapshot.rules] == ["good"]
    assert list(snapshot.broken) == ["far"]


@pytest.mark.faults
def test_a_thousand_rules_load_in_seconds(settings: ServiceSettings, stores: connect.Stores) -> None:
    plans = [planning.apply(definition(f"rule-{number:04}", number), ANNA) for number in range(1_000)]
    began = time.monotonic()
    stores.rules.carry_out(plans)
    written = time.monotonic() - began
    began = time.monotonic()
    with connect.follower(settings, {"card": HOUR_US}) as follower:
        snapshot = follower.wait_until_read(30)
        loaded = time.monotonic() - began
        assert len(snapshot.rules) == 1_000
        stores.rules.carry_out([planning.apply(definition("rule-0500", 7), ANNA)])
        changed = seconds_until(lambda: follower.snapshot().revisions["rule-0500"] == 2)
    print(f"1,000 rules: written in {written:.2f} s, loaded in {loaded:.2f} s, one changed in {changed * 1000:.0f} ms")
    assert loaded < 5
    assert changed < 1


@pytest.mark.faults
def test_concurrent_writers_lose_nothing_silently(settings: ServiceSettings) -> None:
    each, names = 10, ("anna", "ben", "cleo")
    start = threading.Barrier(len(names))
    won: list[tuple[str, int]] = []

    def write(number: int) -> None:
        with connect.open_stores(settings) as stores:
            start.wait()
            for turn in range(each):
                wanted = definition("contested", threshold=100 * (number + 1) + turn)
                while True:  # ten conflicts in a row are an error; the writer tries again
                    try:
                        (outcome,) = stores.rules.carry_out([planning.apply(wanted, Author(names[number]))])
                    except CardwatchError:
                        continue
                    break
                assert outcome.change is not None  # each wish differs from all others
                won.append((names[number], outcome.change.revision))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with connect.open_stores(settings) as stores:
        history = stores.rules.read().history("contested")
    assert len(won) == each * len(names)
    assert [(change.changed_by, change.revision) for change in history] == sorted(won, key=lambda item: item[1])
    assert [change.version for change in history] == list(range(1, len(history) + 1))


@pytest.mark.faults
def test_the_follower_survives_an_outage(platform: Any, stores: connect.Stores, follower: Follower) -> None:
    stores.rules.carry_out([planning.apply(definition("a"), ANNA)])
    seconds_until(lambda: "a" in follower.snapshot().revisions)
    platform.restart_broker(kill=True)
    assert [rule.rule_id for rule in follower.snapshot().rules] == ["a"]
    stores.rules.carry_out([planning.pause("a", BEN)])
    seconds_until(lambda: follower.snapshot().revisions["a"] == 2, within=30)
    assert follower.alive
