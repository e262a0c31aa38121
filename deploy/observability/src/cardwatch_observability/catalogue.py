"""Every metric of every service, as registered by the services themselves.

A series has the label ``job``: the name of the service in compose and Kubernetes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from cardwatch_detector.lakehouse.maintenance.metrics import MaintenanceMetrics
from cardwatch_detector.lakehouse.metrics import AuditMetrics, LakehouseMetrics, ProfileMetrics
from cardwatch_detector.runtime.metrics import QueryMetrics
from cardwatch_detector.velocity.metrics import AlertMetrics, LateMetrics, RuleMetrics
from cardwatch_notifier.metrics import NotifierMetrics, OutboxCollector
from cardwatch_notifier.outbox.protocol import Outbox
from cardwatch_service.metrics import Metrics
from cardwatch_service.otel import OpenTelemetry
from cardwatch_service.tracing import TracingSettings
from cardwatch_snowflake.metrics import LoaderMetrics
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cardwatch_observability.internals import registered_families

PRODUCER: Final = "producer"
ENRICHER: Final = "enricher"
DETECTOR: Final = "detector"
LAKEHOUSE: Final = "lakehouse"
NOTIFIER: Final = "notifier"
LOADER: Final = "snowflake-loader"

OURS: Final = "cardwatch_"
"""The prefix of Cardwatch's own metrics; the others are the Python client's."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: as it is scraped; a histogram's series add ``_bucket``, ``_sum`` and ``_count``.
        kind: counter, gauge or histogram.
        labels: names, in the order in which they were given.
        text: the help text.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names that may stand in a query."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


class _EmptyOutbox:
    """An outbox without rows: the metrics are described, not read."""

    def problem(self) -> str:
        return ""

    def backlog(self) -> list[Any]:
        return []


def _notifier(metrics: Metrics) -> None:
    NotifierMetrics(metrics, clocked_receiver="webhook")
    metrics.registry.register(OutboxCollector(cast(Outbox, _EmptyOutbox()), clock=lambda: 0))


def _traces(metrics: Metrics) -> None:
    OpenTelemetry("cardwatch", TracingSettings(), metrics, InMemorySpanExporter()).close()


def _query(metrics: Metrics) -> None:
    QueryMetrics(metrics, {})


def _alerts(metrics: Metrics) -> None:
    AlertMetrics(metrics, "alerts")


def _late(metrics: Metrics) -> None:
    LateMetrics(metrics, "", ())


_REGISTER: Final[Mapping[str, tuple[Callable[[Metrics], object], ...]]] = {
    PRODUCER: (_traces,),
    ENRICHER: (_traces,),
    DETECTOR: (_query, _alerts, _late, RuleMetrics, _traces),
    LAKEHOUSE: (_query, LakehouseMetrics, MaintenanceMetrics, ProfileMetrics, AuditMetrics),
    NOTIFIER: (_notifier, _traces),
    LOADER: (LoaderMetrics,),
}
"""The metrics that a service registers besides those that all services have. A new service adds its own line."""

JOBS: Final = tuple(_REGISTER)


def metrics_of(job: str) -> tuple[Metric, ...]:
    """Every metric that a service registers, by name."""
    return _registered(*_REGISTER[job])


def shared_metrics() -> tuple[Metric, ...]:
    """The metrics that every service registers."""
    return _registered()


def all_metrics() -> Mapping[str, Metric]:
    """Every metric by its name."""
    return {metric.name: metric for job in JOBS for metric in metrics_of(job)}


def _registered(*register: Callable[[Metrics], object]) -> tuple[Metric, ...]:
    metrics = Metrics()
    for add in register:
        add(metrics)
    return tuple(sorted(_described(metrics), key=lambda metric: metric.name))


def _described(metrics: Metrics) -> list[Metric]:
    found = []
    for family, labels in registered_families(metrics.registry):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found.append(Metric(name, family.type, labels, family.documentation))
    return found
