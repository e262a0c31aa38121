"""Which rules a detector evaluates, and which rules fit into a plan."""

import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from cardwatch_detector.velocity.metrics import RuleMetrics
from cardwatch_detector.velocity.rules.active_rules import ActiveRules, fixed_snapshot, worker_report
from cardwatch_detector.velocity.rules.rule_set import RuleSet, TaskRuleSet, attach_rules
from cardwatch_detector.velocity.state.plan_shape import shape_for
from cardwatch_rulebook.snapshot import Snapshot
from cardwatch_rules.evaluate import Ledger
from cardwatch_rules.parse import parse_rules
from cardwatch_service.metrics import Metrics

HOUR = 3_600_000_000
RULES = parse_rules("""
- {id: a, title: a, scope: card, when: n >= 3, measures: {n: {window: 10m, is: count(*)}}}
- {id: b, title: b, scope: merchant, when: n >= 3, mode: shadow, measures: {n: {window: 30m, is: count(*)}}}
- {id: c, title: c, scope: card, when: n >= 3, mode: paused, measures: {n: {window: 10m, is: count(*)}}}
- {id: d, title: d, scope: device, when: n >= 3, measures: {n: {window: 10m, is: count(*)}}}
""")


class Analysts:
    """The published rules, and the states that are reported for them."""

    def __init__(self) -> None:
        self.snapshot = fixed_snapshot(RULES)()
        self.failing: dict[str, str] = {}

    def __call__(self) -> Snapshot:
        return self.snapshot

    def report(self, snapshot: Snapshot, failing: Mapping[str, str], scopes: Sequence[str]) -> None:
        self.failing = dict(failing)

    def change(self, rule_id: str) -> None:
        now = self.snapshot
        revisions = {**now.revisions, rule_id: now.revisions[rule_id] + 1}
        self.snapshot = Snapshot(now.rules, now.broken, revisions, now.versions, now.lists, now.generation + 1)


def active_rules(analysts: Analysts, metrics: Metrics | None = None) -> ActiveRules:
    return ActiveRules(("card", "merchant"), analysts, analysts, RuleMetrics(metrics or Metrics()), budget_seconds=1.0)


def ids(rule_set: RuleSet) -> list[str]:
    return [rule.rule_id for rule in rule_set.rules]


def test_the_active_rules_of_its_scopes() -> None:
    rules = active_rules(Analysts())
    assert ids(rules.rule_set()) == ["a", "b"]
    assert rules.rule_set() is rules.rule_set(), "nothing is built again where nothing has changed"


def test_a_rule_that_fails_is_set_aside_until_it_changes() -> None:
    analysts, metrics = Analysts(), Metrics()
    rules = active_rules(analysts, metrics)
    rules.rule_set()
    rules.apply_reports([json.dumps({"failed": {"a": "ValueError: no"}, "seconds": {}, "rows": 5})])
    assert ids(rules.rule_set()) == ["b"]
    assert analysts.failing == {"a": "its evaluation failed: ValueError: no"}
    assert metrics.registry.get_sample_value("cardwatch_rules", {"state": "set_aside"}) == 1
    assert metrics.registry.get_sample_value("cardwatch_rules_set_aside_total", {"reason": "failed"}) == 1
    analysts.change("b")
    assert ids(rules.rule_set()) == ["b"]
    analysts.change("a")
    assert ids(rules.rule_set()) == ["a", "b"]


def test_a_rule_that_costs_too_much_is_set_aside_after_three_micro_batches_in_a_row() -> None:
    analysts = Analysts()
    rules = active_rules(analysts)
    over_budget = json.dumps({"failed": {}, "seconds": {"b": 2.5}, "rows": 1000})
    within_budget = json.dumps({"failed": {}, "seconds": {"b": 2.5}, "rows": 500_000})
    rules.rule_set()
    for report in ([over_budget], [over_budget], [within_budget], [over_budget], [], [over_budget], [over_budget]):
        rules.apply_reports(report)
        assert ids(rules.rule_set()) == ["a", "b"]
    rules.apply_reports([over_budget])
    assert ids(rules.rule_set()) == ["a"]
    assert "its measures took 2.5 s for 1,000 transactions, 1.0 s are allowed" in analysts.failing["b"]


def test_a_worker_reports_only_failed_and_slow_rules() -> None:
    assert worker_report(Ledger(seconds={"a": 0.001}), 5) is None
    assert json.loads(worker_report(Ledger({"a": "no"}, {"b": 0.2}), 5) or "") == {
        "failed": {"a": "no"},
        "seconds": {"b": 0.2},
        "rows": 5,
    }


def test_a_rule_set_reaches_the_tasks() -> None:
    properties: dict[str, str] = {}
    context: Any = SimpleNamespace(setLocalProperty=properties.__setitem__, getLocalProperty=properties.get)
    of_task = TaskRuleSet(lambda: context)
    with pytest.raises(RuntimeError, match="without its rules"):
        of_task.current()
    rule_set = RuleSet(RULES, {"trusted": frozenset({"m1"})})
    attach_rules(context, rule_set)
    assert of_task.current() == rule_set
    assert of_task.current() is of_task.current(), "decoded once"


def test_a_plan_has_room_for_rules_to_come() -> None:
    horizons = {"card": 30 * HOUR, "merchant": HOUR}
    rule_set = RuleSet(RULES[:2])
    roomy = shape_for(rule_set, horizons, roomy=True)
    assert roomy.reach_us == {"card": 30 * HOUR, "merchant": 40 * HOUR // 60}
    assert {"latitude", "raw_broker_time", "status"} <= roomy.fields
    assert roomy.part_of(rule_set) is rule_set

    tight = shape_for(rule_set, horizons, roomy=False)
    assert tight.reach_us == {"card": HOUR // 6, "merchant": HOUR // 2}
    assert "latitude" not in tight.fields
    (long,) = parse_rules(
        "- {id: l, title: l, scope: merchant, when: n > 3, measures: {n: {window: 1h, is: declines(*)}}}"
    )
    more = RuleSet((*rule_set.rules, long))
    assert ids(roomy.part_of(more)) == ids(tight.part_of(more)) == ["a", "b"]
    assert shape_for(more, horizons, roomy=True).part_of(more) is more


def test_a_profile_is_a_day_back() -> None:
    rules = parse_rules("- {id: p, title: p, scope: card, when: base_amount_minor > profile.mean_amount_minor_30d}")
    shape = shape_for(RuleSet(rules), {"card": 30 * HOUR}, roomy=False)
    assert shape.reach_us == {"card": 24 * HOUR}
