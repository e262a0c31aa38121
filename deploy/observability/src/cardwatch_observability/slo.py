"""The service level objectives, and the recording rules that say how fast their error budgets burn.

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

LATENCY_SECONDS_AT_MOST: Final = 2.0
LAG_SECONDS_AT_MOST: Final = 10.0

WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")

ERROR_BUDGET: Final = "cardwatch:slo_error_budget:ratio"


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective.

    Attributes:
        name: value of the label ``slo``.
        title: what is promised.
        target: share that has to be good.
        errors: PromQL of the share that is bad; ``WINDOW`` stands for the window. Empty where nothing happened.
    """

    name: str
    title: str
    target: float
    errors: str

    @property
    def budget(self) -> float:
        """Share that may be bad."""
        return round(1 - self.target, 6)

    def error_ratio(self, window: str) -> str:
        """The share that was bad in a window."""
        return self.errors.replace("WINDOW", window)


_DELIVERED: Final = ('start="raw_broker_time"', 'end="delivered"')
assert LATENCY_SECONDS_AT_MOST in LATENCY_BUCKETS, "the share within a limit is read from a bucket that ends there"


def _latency() -> str:
    within = select(f"{LATENCY_SECONDS}_bucket", *_DELIVERED, f'le="{LATENCY_SECONDS_AT_MOST}"', job=NOTIFIER)
    every = select(f"{LATENCY_SECONDS}_count", *_DELIVERED, job=NOTIFIER)
    return f"1 - {rate(within, window='WINDOW')} / ({rate(every, window='WINDOW')} > 0)"


def _delivery() -> str:
    lost = select(DELIVERIES_TOTAL, 'outcome=~"failed|gone"', job=NOTIFIER)
    every = select(DELIVERIES_TOTAL, 'outcome=~"delivered|failed|gone"', job=NOTIFIER)
    return f"({rate(lost, window='WINDOW')} or vector(0)) / ({rate(every, window='WINDOW')} > 0)"


OBJECTIVES: Final = (
    Objective(
        "latency",
        f"99 % of alerts are delivered within {LATENCY_SECONDS_AT_MOST:g} s of the broker's time of their transaction",
        0.99,
        _latency(),
    ),
    Objective("delivery", "99.9 % of messages to receivers are delivered, none given up", 0.999, _delivery()),
    Objective(
        "lag",
        f"99.5 % of the time nothing between a raw transaction and its alert is more than {LAG_SECONDS_AT_MOST:g} s "
        "behind",
        0.995,
        f"avg_over_time({LAG_IS_BAD}[WINDOW])",
    ),
)


def recording_rules() -> Mapping[str, Any]:
    """The content of Prometheus' rule file."""
    jobs = "|".join((ENRICHER, DETECTOR, NOTIFIER))
    behind = f'max({CONSUMER_LAG_SECONDS}{{job=~"{jobs}"}})'
    bad = {"record": LAG_IS_BAD, "expr": f"{behind} > bool {LAG_SECONDS_AT_MOST:g}"}
    budgets = [
        {"record": ERROR_BUDGET, "labels": {"slo": one.name}, "expr": f"vector({one.budget:g})"} for one in OBJECTIVES
    ]
    ratios = [
        {"record": error_ratio(window), "labels": {"slo": one.name}, "expr": one.error_ratio(window)}
        for one in OBJECTIVES
        for window in WINDOWS
    ]
    return {"groups": [{"name": "cardwatch-slo", "rules": [bad, *budgets, *ratios]}]}
