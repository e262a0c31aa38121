"""The dashboard of the service level objectives: error budgets and burn rates."""

from typing import Any

from cardwatch_service.metrics import LATENCY_SECONDS

from cardwatch_observability.catalogue import LAKEHOUSE, NOTIFIER
from cardwatch_observability.dashboards.frame import Row, make
from cardwatch_observability.panels import NUMBER, SECONDS, SHARE, Limits, Query, figure, graph
from cardwatch_observability.promql import quantile
from cardwatch_observability.recorded import CONSUMER_LAG_SECONDS, error_ratio
from cardwatch_observability.slo import (
    DELIVERED,
    ERROR_BUDGET,
    MAX_LAG_SECONDS,
    MAX_LATENCY_SECONDS,
    OBJECTIVES,
    Objective,
)

_SHOWN = ("5m", "1h", "6h", "3d")


def slos() -> Any:
    """Latency, delivery and lag, with burn rates over several windows."""
    return make(
        "cardwatch-slo",
        "Service levels",
        "Objectives, error budgets and burn rates. A burn rate of 1 uses the budget up in 30 days.",
        [
            *(_row(objective) for objective in OBJECTIVES),
            Row(
                "What they are computed from",
                [
                    graph(
                        "Latency to delivery",
                        "From the broker's time of the raw transaction to the delivery of its alert.",
                        SECONDS,
                        Query(quantile(0.99, LATENCY_SECONDS, *DELIVERED, job=NOTIFIER), "p99"),
                        limits=Limits(MAX_LATENCY_SECONDS, 5),
                    ),
                    graph(
                        "Lag between a transaction and its alert",
                        "The time in which the messages arrived that a service has not processed yet.",
                        SECONDS,
                        Query(f'{CONSUMER_LAG_SECONDS}{{job!="{LAKEHOUSE}"}}', "{{job}}"),
                        limits=Limits(MAX_LAG_SECONDS, 60),
                    ),
                ],
            ),
        ],
        shows="now-6h",
    )


def _row(objective: Objective) -> Row:
    slo = f'{{slo="{objective.name}"}}'
    budget = f"{ERROR_BUDGET}{slo}"
    return Row(
        objective.title,
        [
            figure(
                "Good, 3 days",
                f"Share that was good; {objective.target:.1%} is promised. Over a shorter time if there is no more.",
                SHARE,
                Query(f"1 - {error_ratio('3d')}{slo}"),
                limits=Limits(objective.target, objective.target, falling=True),
            ),
            figure(
                "Burn rate, 1 hour",
                "How many times faster than allowed the budget is used.",
                NUMBER,
                Query(f"{error_ratio('1h')}{slo} / {budget}"),
                limits=Limits(1, 14.4),
            ),
            graph(
                "Burn rates",
                "Prometheus alerts at 14.4 (1 hour and 5 minutes) or 6 (6 hours and 30 minutes), and warns at 3 (1 day "
                "and 2 hours) or 1 (3 days and 6 hours).",
                NUMBER,
                *(Query(f"{error_ratio(window)}{slo} / {budget}", window) for window in _SHOWN),
                limits=Limits(1, 14.4),
            ),
        ],
    )
