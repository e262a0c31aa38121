"""Metrics that every service has, and the one of traces; a service defines its own in its ``metrics.py``.

The names of these shared metrics are defined only here; the demo, the tests and the dashboards import them.
"""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

CONSUMED_TOTAL: Final = "cardwatch_messages_consumed_total"
PUBLISHED_TOTAL: Final = "cardwatch_messages_published_total"
REFUSED_TOTAL: Final = "cardwatch_messages_refused_total"
ERRORS_TOTAL: Final = "cardwatch_errors_total"
LATENCY_SECONDS: Final = "cardwatch_latency_seconds"
CONSUMER_LAG: Final = "cardwatch_consumer_lag_messages"
CONSUMER_POSITION: Final = "cardwatch_consumer_position_offset"
LOST_TOTAL: Final = "cardwatch_messages_lost_total"
REGISTRY_OUTAGE: Final = "cardwatch_schema_registry_outage"
SPANS_TOTAL: Final = "cardwatch_trace_spans_total"

# From 10 ms to 5 min, for a pipeline that catches up; finer around the objective of 2 s.
LATENCY_BUCKETS: Final = (
    0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip


class Metrics:
    """Counters, gauges and a histogram that mean the same in every service.

    Attributes:
        registry: where a service registers its own metrics as well.
        consumed: messages taken from a topic, by ``topic``.
        published: messages that the broker has acknowledged, by ``topic``.
        refused: messages refused, by ``reason`` (a reason code).
        errors: failures that the service survived (retries, reconnects), by ``kind`` (a bounded set per service).
        latency: seconds between two points in a transaction's life, by ``start`` (``event_time``,
            ``raw_broker_time``) and ``end`` (``silver_published``, ``alert_published``, ``delivered``).
        lag: messages between a consumer's position and its partition's end, by ``topic`` and ``partition``.
        position: next offset that is not safely processed yet, by ``topic`` and ``partition``.
        lost: offsets that the broker deleted before they were read, and that were passed, by ``topic``.
        registry_outages: 1 while messages wait for the schema registry, by ``subject``; see ``registry_outage``.
    """

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.consumed: Final = Counter(
            CONSUMED_TOTAL, "Messages taken from a topic.", ["topic"], registry=self.registry
        )
        self.published: Final = Counter(
            PUBLISHED_TOTAL, "Messages that the broker has acknowledged.", ["topic"], registry=self.registry
        )
        self.refused: Final = Counter(
            REFUSED_TOTAL, "Messages refused, by reason code.", ["reason"], registry=self.registry
        )
        self.errors: Final = Counter(
            ERRORS_TOTAL, "Failures that the service survived, by kind.", ["kind"], registry=self.registry
        )
        self.latency: Final = Histogram(
            LATENCY_SECONDS,
            "Seconds between two points in a transaction's life.",
            ["start", "end"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.lag: Final = Gauge(
            CONSUMER_LAG,
            "Messages between a consumer's position and its partition's end.",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.position: Final = Gauge(
            CONSUMER_POSITION,
            "Next offset that is not safely processed yet.",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.lost: Final = Counter(
            LOST_TOTAL,
            "Offsets that the broker deleted before they were read, and that were passed.",
            ["topic"],
            registry=self.registry,
        )
        self.registry_outages: Final = Gauge(
            REGISTRY_OUTAGE,
            "1 while messages wait because the schema registry does not answer or has lost schemas, else 0.",
            ["subject"],
            registry=self.registry,
        )

    def registry_outage(self, subject: str) -> Callable[[bool], None]:
        """Sets the gauge of a subject's outage: 0 now, and then whatever it is called with."""
        gauge = self.registry_outages.labels(subject)
        gauge.set(0)
        return gauge.set


def span_counter(metrics: Metrics) -> Counter:
    """The counter of spans by ``outcome``, which only a service that sends traces registers."""
    return Counter(
        SPANS_TOTAL,
        "Spans of this service's traces: exported, failed (the collector did not take them), dropped (no room).",
        ["outcome"],
        registry=metrics.registry,
    )
