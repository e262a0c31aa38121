"""Panels about Spark queries that several dashboards have."""

from typing import Final

from cardwatch_detector.runtime.metrics import BATCH_SECONDS, INPUT_ROWS_TOTAL
from cardwatch_detector.velocity.metrics import LATE_TOTAL

from cardwatch_observability.catalogue import DETECTOR
from cardwatch_observability.panels import NUMBER, PER_SECOND, SECONDS, AnyPanel, Query, graph
from cardwatch_observability.promql import or_zero_while_up, rate, select

WHOLE_BATCH: Final = 'phase="triggerExecution"'
BY_QUERY: Final = "{{query}}"


def query_panels(job: str) -> list[AnyPanel]:
    """Duration and rows of the micro-batches of a service's queries."""
    return [
        graph(
            "Duration of micro-batches",
            "Of each query's last one.",
            SECONDS,
            Query(f"max by (query) ({select(BATCH_SECONDS, WHOLE_BATCH, job=job)})", BY_QUERY),
        ),
        graph(
            "Rows",
            "That each query's micro-batches read.",
            PER_SECOND,
            Query(rate(select(INPUT_ROWS_TOTAL, job=job), by="query"), BY_QUERY),
        ),
    ]


def late_graph(description: str) -> AnyPanel:
    """Transactions that arrived too late for the detector, per minute and scope."""
    late = or_zero_while_up(rate(select(LATE_TOTAL, job=DETECTOR), by="scope"), DETECTOR)
    return graph("Too late to be evaluated, per minute", description, NUMBER, Query(f"60 * ({late})", "{{scope}}"))
