"""A tracer for tests whose spans are kept in memory."""

from typing import Any

from cardwatch_service.metrics import SPANS_TOTAL, Metrics
from cardwatch_service.otel import OpenTelemetry
from cardwatch_service.tracing import TracingSettings
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ALWAYS = "always_on"


class RecordingTracer:
    """A tracer that keeps its finished spans."""

    def __init__(self, **settings: Any) -> None:
        """``settings`` are fields of TracingSettings; without any, every span is recorded."""
        self._exporter = InMemorySpanExporter()
        self._metrics = Metrics()
        chosen = TracingSettings(**(settings or {"traces_sampler": ALWAYS}))
        self.tracer = OpenTelemetry("cardwatch-service", chosen, self._metrics, self._exporter)

    def spans(self) -> tuple[Any, ...]:
        """The spans in the order in which they ended. Closes the tracer."""
        self.tracer.close()
        return self._exporter.get_finished_spans()

    def count(self, outcome: str) -> float | None:
        """The value of the spans metric for an outcome."""
        return self._metrics.registry.get_sample_value(SPANS_TOTAL, {"outcome": outcome})


def parent_of(context: str) -> str:
    """The span id in a ``traceparent``."""
    return context.split("-")[2]


def id_of(span: Any) -> str:
    """A span's id in hexadecimal, as in headers."""
    return f"{span.context.span_id:016x}"


def parent_id_of(span: Any) -> str | None:
    """The id of a span's parent, None for the first of a trace."""
    return None if span.parent is None else f"{span.parent.span_id:016x}"
