"""The dashboard of the detector."""

from typing import Any

from cardwatch_detector.runtime.metrics import BATCH_SECONDS, INPUT_ROWS_TOTAL
from cardwatch_detector.velocity.metrics import ALERTS_TOTAL, RULES

from cardwatch_observability.catalogue import DETECTOR
from cardwatch_observability.dashboards.frame import Row, lag_panels, make, process_row
from cardwatch_observability.dashboards.latency import latency_queries
from cardwatch_observability.dashboards.spark_panels import WHOLE_BATCH, late_graph, query_panels
from cardwatch_observability.panels import NUMBER, PER_SECOND, SECONDS, Limits, Query, figure, graph
from cardwatch_observability.promql import rate, select


def detector() -> Any:
    """From silver to alerts."""
    return make(
        "cardwatch-detector",
        "Detector",
        "Silver transactions in, alerts out: the velocity queries.",
        [
            _alerts_row(),
            Row("Queries", query_panels(DETECTOR)),
            Row("Lag", lag_panels(DETECTOR)),
            process_row(DETECTOR),
        ],
    )


def _alerts_row() -> Row:
    live_rules = select(RULES, 'state="live"', job=DETECTOR)
    return Row(
        "Alerts",
        [
            figure(
                "Transactions",
                "Rows that micro-batches read.",
                PER_SECOND,
                Query(rate(select(INPUT_ROWS_TOTAL, job=DETECTOR))),
            ),
            figure(
                "Micro-batch",
                "Duration of the last one.",
                SECONDS,
                Query(f"max({select(BATCH_SECONDS, WHOLE_BATCH, job=DETECTOR)})"),
                limits=Limits(1, 5),
            ),
            figure("Rules, live", "That the detector evaluates and reports.", NUMBER, Query(f"max({live_rules})")),
            graph(
                "Alert events, per minute",
                "By status, of live and shadow rules.",
                NUMBER,
                Query(f"60 * {rate(select(ALERTS_TOTAL, job=DETECTOR), by='status, mode')}", "{{status}} {{mode}}"),
                stacked=True,
            ),
            graph(
                "Latency to the alert",
                "From the broker's time of the raw transaction to the publication of its alert.",
                SECONDS,
                *latency_queries('start="raw_broker_time"', 'end="alert_published"', job=DETECTOR),
            ),
            late_graph("Transactions by scope; kept in transactions.late.v1."),
        ],
    )
