"""The service level objectives, and the recording rules for the burn rates of their error budgets.

An objective's error ratio over several windows is recorded; the alert rules and the dashboard compare it with the
budget: a ratio of the budget burns it in 30 days, 14.4 times as much in two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cardwatch_notifier.metrics import DELIVERIES_TOTAL
from cardwatch_service.metrics import LATENCY_BUCKETS, LATENCY_SECONDS

from cardwatch_observability.catalogue import DETECTOR, ENRICHER, NOTIFIER
from cardwatch_observability.promql import rate, select
from cardwatch_observability.recorded import CONSUMER_LAG_SECONDS, LAG_IS_BAD, error_ratio

MAX_LATENCY_SECONDS: Final = 2.0
MAX_LAG_SECONDS: Final = 10.0

WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")

ERROR_BUDGET: Final = "cardwatch:slo_error_budget:ratio"


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective.

    Attributes:
        name: value of the label ``slo``.
        title: the promise in a sentence.
        target: the share of good events that is promised.
        errors: PromQL of the share of bad events; ``WINDOW`` stands for the window. Empty if there were no events.
    """

    name: str
    title: str
    target: float
    errors: str

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.target, 6)

    def error_ratio(self, window: str) -> str:
        """PromQL of the share of bad events in a window."""
        return self.errors.replace("WINDOW", window)


DELIVERED: Final = ('start="raw_broker_time"', 'end="delivered"')
"""Matchers of the latency from the broker's time of the raw transaction to the delivery of its alert."""

assert MAX_LATENCY_SECONDS in LATENCY_BUCKETS, "the share within a limit is read from a bucket that ends there"


def _latency() -> str:
    within = select(f"{LATENCY_SECONDS}_bucket", *DELIVERED, f'le="{MAX_LATENCY_SECONDS}"', job=NOTIFIER)
    every = select(f"{LATENCY_SECONDS}_count", *DELIVERED, job=NOTIFIER)
    return f"1 - {rate(within, window='WINDOW')} / ({rate(every, window='WINDOW')} > 0)"


def _delivery() -> str:
    lost = select(DELIVERIES_TOTAL, 'outcome=~"failed|gone"', job=NOTIFIER)
    every = select(DELIVERIES_TOTAL, 'outcome=~"delivered|failed|gone"', job=NOTIFIER)
    return f"({rate(lost, window='WINDOW')} or vector(0)) / ({rate(every, window='WINDOW')} > 0)"


OBJECTIVES: Final = (
    Objective(
        "latency",
        f"99 % of alerts are delivered within {MAX_LATENCY_SECONDS:g} s of the broker's time of their transaction",
        0.99,
        _latency(),
    ),
    Objective("delivery", "99.9 % of messages to receivers are delivered, none parked", 0.999, _delivery()),
    Objective(
        "lag",
        f"99.5 % of the time nothing between a raw transaction and its alert is more than {MAX_LAG_SECONDS:g} s behind",
        0.995,
        f"avg_over_time({LAG_IS_BAD}[WINDOW])",
    ),
)


def recording_rules() -> Mapping[str, Any]:
    """The content of the rule file for Prometheus."""
    jobs = "|".join((ENRICHER, DETECTOR, NOTIFIER))
    behind = f'max({CONSUMER_LAG_SECONDS}{{job=~"{jobs}"}})'
    bad = {"record": LAG_IS_BAD, "expr": f"{behind} > bool {MAX_LAG_SECONDS:g}"}
    budgets = [
        {"record": ERROR_BUDGET, "labels": {"slo": one.name}, "expr": f"vector({one.budget:g})"} for one in OBJECTIVES
    ]
    ratios = [
        {"record": error_ratio(window), "labels": {"slo": one.name}, "expr": one.error_ratio(window)}
        for one in OBJECTIVES
        for window in WINDOWS
    ]
    return {"groups": [{"name": "cardwatch-slo", "rules": [bad, *budgets, *ratios]}]}
