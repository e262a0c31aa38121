"""Queries for latencies between two points in a transaction's life."""

from collections.abc import Sequence

from cardwatch_service.metrics import LATENCY_SECONDS

from cardwatch_observability.panels import Query
from cardwatch_observability.promql import quantile


def latency_queries(*matchers: str, job: str, shares: Sequence[float] = (0.5, 0.95, 0.99)) -> list[Query]:
    """One query per quantile, named ``p50`` and so on.

    Args:
        matchers: PromQL matchers that select the start and the end of the latency.
    """
    return [Query(quantile(share, LATENCY_SECONDS, *matchers, job=job), f"p{share * 100:g}") for share in shares]
