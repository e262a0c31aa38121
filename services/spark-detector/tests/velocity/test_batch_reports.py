"""What is counted and logged of a published micro-batch."""

import json
from typing import Any

from cardwatch_detector.velocity.metrics import ALERTS_TOTAL, LATE_TOTAL, AlertMetrics, LateMetrics, RuleMetrics
from cardwatch_detector.velocity.publishing.alert_traces import AlertTraces
from cardwatch_detector.velocity.publishing.batch_reports import BatchReports
from cardwatch_detector.velocity.rules.active_rules import ActiveRules, NoReporter, fixed_snapshot
from cardwatch_rules.parse import parse_rules
from cardwatch_service.metrics import PUBLISHED_TOTAL, Metrics
from structlog.testing import capture_logs
from support.recorded_spans import RecordingTracer

RULES = parse_rules("""
- {id: a, title: a, scope: card, when: n >= 3, measures: {n: {window: 10m, is: count(*)}}}
- {id: b, title: b, scope: card, when: n >= 4, measures: {n: {window: 10m, is: count(*)}}}
""")
SECOND = 1_000_000
REPORT: dict[str, Any] = {
    "began_at": 100,
    "ended_at": 200,
    "alerts": [],
    "latencies": [],
    "late": {},
    "latest_by": 0,
    "spans": [],
    "rules": [],
}


class Detector:
    """What takes reports, with its metrics."""

    def __init__(self, traces: AlertTraces | None = None) -> None:
        self.metrics = Metrics()
        self.rules = ActiveRules(("card",), fixed_snapshot(RULES), NoReporter(), RuleMetrics(self.metrics), 1.0)
        self.rules.rule_set()
        self.reports = BatchReports(
            AlertMetrics(self.metrics, "p.alerts.v1"), LateMetrics(self.metrics, "p.", ("card",)), self.rules, traces
        )

    def take(self, **fields: Any) -> None:
        self.reports.take("velocity-card", {**REPORT, **fields})

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def test_alerts_are_counted_with_their_latencies() -> None:
    detector = Detector()
    kinds = [["a", "raised", "live", 2], ["a", "retracted", "shadow", 1]]
    detector.take(alerts=kinds, latencies=[[3 * SECOND, SECOND], [0, 0], [5 * SECOND, 2 * SECOND]])
    assert detector.value(ALERTS_TOTAL, rule="a", status="raised", mode="live") == 2
    assert detector.value(ALERTS_TOTAL, rule="a", status="retracted", mode="shadow") == 1
    assert detector.value(PUBLISHED_TOTAL, topic="p.alerts.v1") == 3
    sums = [
        detector.value("cardwatch_latency_seconds_sum", start=start, end="alert_published")
        for start in ("event_time", "raw_broker_time")
    ]
    assert sums == [8, 3]


def test_late_transactions_are_counted_in_each_scope_and_logged_once() -> None:
    detector = Detector()
    with capture_logs() as logs:
        detector.take(late={"card,device": 1, "card": 2}, latest_by=12 * SECOND)
        detector.take()
    assert [detector.value(LATE_TOTAL, scope=scope) for scope in ("card", "device")] == [3, 1]
    assert detector.value(PUBLISHED_TOTAL, topic="p.transactions.late.v1") == 3
    (line,) = logs
    assert (line["transactions"], line["scopes"], line["latest_by_seconds"]) == (3, {"card": 3, "device": 1}, 12)


def test_a_rule_over_its_budget_has_to_be_so_in_micro_batches_that_follow_each_other() -> None:
    detector = Detector()
    over = [json.dumps({"failed": {}, "seconds": {"a": 9.0}, "rows": 1, "redecided": 0})]
    for rules in (over, over, [], over, over):
        detector.take(rules=rules)
    assert len(detector.rules.rule_set().rules) == 2
    detector.take(rules=over)
    assert [rule.rule_id for rule in detector.rules.rule_set().rules] == ["b"]


def test_spans_are_recorded() -> None:
    recorded = RecordingTracer()
    span = {
        "parent": "00-4bf92f3577b34da6a3ce929d0e0e4732-00f067aa0ba902b7-01",
        "state": "",
        "span_id": "a0f067aa0ba902b8",
        "partition": 0,
        "offset": 1,
        "alert_id": "i",
        "rule_id": "a",
        "status": "raised",
        "detected_at": 150,
    }
    Detector(AlertTraces(recorded.tracer, "silver")).take(spans=[json.dumps(span)])
    (found,) = recorded.spans()
    assert (found.start_time, found.end_time) == (100_000, 200_000)
