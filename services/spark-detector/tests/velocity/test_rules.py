"""Which rules a detector evaluates, and how they reach the engine."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from cardwatch_detector.velocity.metrics import REDECIDED_TOTAL, RuleMetrics
from cardwatch_detector.velocity.rules.active_rules import ActiveRules, fixed_snapshot
from cardwatch_detector.velocity.rules.rule_set import RuleSet
from cardwatch_rulebook.snapshot import Snapshot
from cardwatch_rules.parse import parse_rules
from cardwatch_rules.program.document import program_json
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


def report(**fields: Any) -> str:
    return json.dumps({"failed": {}, "seconds": {}, "rows": 0, "redecided": 0, **fields})


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
    rules.apply_reports([report(failed={"a": "ValueError: no"}, rows=5)])
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
    over_budget = report(seconds={"b": 2.5}, rows=1000)
    within_budget = report(seconds={"b": 2.5}, rows=500_000)
    rules.rule_set()
    for reports in ([over_budget], [over_budget], [within_budget], [over_budget], [], [over_budget], [over_budget]):
        rules.apply_reports(reports)
        assert ids(rules.rule_set()) == ["a", "b"]
    rules.apply_reports([over_budget])
    assert ids(rules.rule_set()) == ["a"]
    assert "its measures took 2.5 s for 1,000 transactions, 1.0 s are allowed" in analysts.failing["b"]


def test_the_engine_gets_the_rules_of_a_micro_batch_compiled() -> None:
    rule_set = RuleSet(RULES[:2], {"trusted": frozenset({"m1"})})
    packed = rule_set.packed_program, rule_set.packed_lists
    sent = [json.loads(zlib.decompress(base64.b64decode(text))) for text in packed]
    assert sent == [json.loads(program_json(RULES[:2])), {"trusted": ["m1"]}]
    assert rule_set.packed_program is packed[0], "compiled once"


def test_transactions_that_were_decided_again_are_counted() -> None:
    metrics = Metrics()
    rules = active_rules(Analysts(), metrics)
    rules.apply_reports([report(redecided=2), report(redecided=3)])
    assert metrics.registry.get_sample_value(REDECIDED_TOTAL) == 5
