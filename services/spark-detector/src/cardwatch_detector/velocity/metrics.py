"""Metrics of the detector besides those of every service and every query: alerts, late transactions, rules."""

from collections.abc import Iterable, Mapping
from typing import Final

from cardwatch_contracts.topics import TRANSACTIONS_LATE
from cardwatch_service.metrics import Metrics
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND
from prometheus_client import Counter, Gauge

ALERTS_TOTAL: Final = "cardwatch_alerts_total"
LATE_TOTAL: Final = "cardwatch_late_transactions_total"
RULES: Final = "cardwatch_rules"
REDECIDED_TOTAL: Final = "cardwatch_transactions_redecided_total"
RULES_SET_ASIDE_TOTAL: Final = "cardwatch_rules_set_aside_total"


class AlertMetrics:
    """What the detector counts of its alerts."""

    def __init__(self, metrics: Metrics, topic: str) -> None:
        self._common = metrics
        self._topic = topic
        self.alerts: Final = Counter(
            ALERTS_TOTAL,
            "Alert events published, by rule, status (raised, suppressed, retracted) and mode (live, shadow).",
            ["rule", "status", "mode"],
            registry=metrics.registry,
        )

    def count(self, alerts: Iterable[tuple[str, str, str, int]], latencies: Iterable[tuple[int, int]]) -> None:
        """Count the alerts of a micro-batch after the broker has acknowledged them.

        Args:
            alerts: rule, status, mode and number.
            latencies: of each alert, from its event time and from its cause's ``raw_broker_time`` to the
                acknowledgement, microseconds.
        """
        for rule, status, mode, number in alerts:
            self._common.published.labels(self._topic).inc(number)
            self.alerts.labels(rule, status, mode).inc(number)
        from_event, from_broker = (
            self._common.latency.labels(start, "alert_published") for start in ("event_time", "raw_broker_time")
        )
        for since_event, since_broker in latencies:
            from_event.observe(since_event / MICROSECONDS_PER_SECOND)
            from_broker.observe(since_broker / MICROSECONDS_PER_SECOND)


class LateMetrics:
    """Counts late transactions; a micro-batch that a crash repeats is counted again."""

    def __init__(self, metrics: Metrics, topic_prefix: str, scopes: Iterable[str]) -> None:
        self._published: Final = metrics.published.labels(TRANSACTIONS_LATE.name(topic_prefix))
        self.late: Final = Counter(
            LATE_TOTAL, "Transactions that arrived too late to be evaluated.", ["scope"], registry=metrics.registry
        )
        for scope in scopes:
            self.late.labels(scope)  # from 0: Prometheus's increase() misses the first value of a new series

    def count(self, transactions: int, by_scope: Mapping[str, int]) -> None:
        """Count transactions after the broker has acknowledged them; one counts in each scope that missed it."""
        self._published.inc(transactions)
        for scope, number in by_scope.items():
            self.late.labels(scope).inc(number)


class RuleMetrics:
    """Metrics of the rules."""

    def __init__(self, metrics: Metrics) -> None:
        self.rules: Final = Gauge(
            RULES,
            "Rules of this detector's scopes by state: live, shadow, paused or set_aside.",
            ["state"],
            registry=metrics.registry,
        )
        self.set_aside: Final = Counter(
            RULES_SET_ASIDE_TOTAL,
            "Times a rule was set aside, because it is broken, failed or cost too much.",
            ["reason"],
            registry=metrics.registry,
        )
        self.redecided: Final = Counter(
            REDECIDED_TOTAL,
            "Times transactions were decided again, because others came late or twice, or with a profile.",
            registry=metrics.registry,
        )
