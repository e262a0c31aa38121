"""Traces of the messages that a service sends, processes and delivers.

Off unless an OpenTelemetry collector is named. A service then has no tracer, checks for that once per message, and
nothing of OpenTelemetry is even imported: ``otel.py``, which is imported only when traces are on, connects this module
with OpenTelemetry's SDK. The names of spans and attributes are those of its semantic conventions for messaging.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import load_settings

if TYPE_CHECKING:
    from opentelemetry import trace

# Attributes of our own. There is none for a card, an amount or a message's key, and there must not be one.
OUTCOME: Final = "cardwatch.outcome"
REASON: Final = "cardwatch.reason"
TRANSACTION_ID: Final = "cardwatch.transaction_id"
ALERT_ID: Final = "cardwatch.alert_id"
RULE_ID: Final = "cardwatch.rule_id"
RECEIVER: Final = "cardwatch.receiver"
MESSAGE_ID: Final = "cardwatch.message_id"

FLUSH_SECONDS: Final = 3.0
"""How long the end of a service waits for its last spans: well within the service's grace period."""

Attributes = Mapping[str, str | int]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Span:
    """One step of one trace, until ``end`` is called.

    Attributes:
        context: the trace context that is passed to the next step (``trace_context``).
    """

    __slots__ = ("_span", "context")

    def __init__(self, context: str, span: "trace.Span | None" = None) -> None:
        """Without ``span`` nothing is recorded, and ``context`` is passed on as it came."""
        self.context: Final = context
        self._span: Final = span

    @property
    def recording(self) -> bool:
        """Whether the span is exported in the end; False where its trace is not sampled."""
        return self._span is not None and self._span.is_recording()

    def set_attributes(self, attributes: Attributes) -> None:
        """Add attributes to the span."""
        if self._span is not None:
            self._span.set_attributes(attributes)

    def set_offset(self, partition: int, offset: int) -> None:
        """Add where the message is stored, which a producer learns from the delivery report."""
        self.set_attributes(_position(partition, offset))

    def add_event(self, name: str, at_ns: int) -> None:
        """Add an event of the span at ``at_ns``, nanoseconds since 1970-01-01 UTC."""
        if self._span is not None:
            self._span.add_event(name, timestamp=at_ns)

    def end(self, error: str = "", at_ns: int | None = None) -> None:
        """End the span.

        Args:
            error: the kind of failure, if the step failed.
            at_ns: when it ended, nanoseconds since 1970-01-01 UTC; now, if None.
        """
        if self._span is None:
            return
        if error:
            from opentelemetry.trace import StatusCode  # already imported, because there is a span

            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)
        self._span.end(at_ns)


class Tracer(ABC):
    """Starts the spans of a service. None of its methods waits for anything or fails."""

    @property
    @abstractmethod
    def sampled_share(self) -> float:
        """The share of the traces recorded by the service before that are recorded here too, 0 to 1."""

    def start_send(self, topic: str) -> Span:
        """A message is sent: where a trace begins, unless the sampler says otherwise."""
        return self._start(f"send {topic}", "PRODUCER", None, _operation("send", topic))

    def start_process(
        self,
        topic: str,
        partition: int,
        offset: int,
        *,
        context: str | None,
        group: str = "",
        start_ns: int | None = None,
        span_id: int | None = None,
    ) -> Span:
        """A message is processed.

        Args:
            topic, partition, offset: where it is stored.
            context: the trace context that it carried; None begins a trace of its own.
            group: the consumer group, if there is one.
            start_ns: when processing began, nanoseconds since 1970-01-01 UTC; now, if None.
            span_id: the span's id, where what was sent names it already; a new one, if None.
        """
        attributes = {**_operation("process", topic), **_position(partition, offset)}
        if group:
            attributes["messaging.consumer.group.name"] = group
        return self._start(f"process {topic}", "CONSUMER", context, attributes, start_ns, span_id)

    def start_delivery(self, receiver: str, *, context: str) -> Span:
        """An attempt to deliver a message to a receiver."""
        return self._start(f"deliver {receiver}", "CLIENT", context, {RECEIVER: receiver})

    @abstractmethod
    def _start(
        self,
        name: str,
        kind: Literal["PRODUCER", "CONSUMER", "CLIENT"],
        context: str | None,
        attributes: Attributes,
        start_ns: int | None = None,
        span_id: int | None = None,
    ) -> Span:
        """Start a span in the trace that ``context`` names, or in a new one."""


class TracingSettings(BaseSettings):
    """The variables of OpenTelemetry that are used here, ``OTEL_<FIELD>``; the SDK reads the others itself."""

    model_config = SettingsConfigDict(env_prefix="OTEL_", extra="ignore", frozen=True, env_ignore_empty=True)

    exporter_otlp_endpoint: Annotated[str, Field(description="base URL of a collector (OTLP/HTTP); empty for off")] = ""
    exporter_otlp_traces_endpoint: Annotated[str, Field(description="its URL for traces, path included; wins")] = ""
    exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    exporter_otlp_traces_protocol: Literal["http/protobuf"] = "http/protobuf"
    exporter_otlp_headers: Annotated[SecretStr, Field(description="name=value, comma separated")] = SecretStr("")
    traces_exporter: Annotated[Literal["otlp", "none"], Field(description="none for off")] = "otlp"
    sdk_disabled: Annotated[bool, Field(description="true for off")] = False
    traces_sampler: Literal[
        "always_on", "always_off", "traceidratio",
        "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
    ] = "parentbased_traceidratio"  # fmt: skip
    traces_sampler_arg: Annotated[float, Field(ge=0, le=1, description="share of traces that are recorded")] = 0.01


@contextmanager
def tracing(service: str, metrics: Metrics, *, flush_seconds: float = FLUSH_SECONDS) -> Iterator[Tracer | None]:
    """The service's tracer, or None where traces are off; at the end the last spans are sent.

    Args:
        service: the name of its package, ``cardwatch-enricher``: the name and version that its spans carry.
        metrics: where the number of spans is counted.
        flush_seconds: how long closing waits at most for the last spans.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    # Checked first, so that a platform's other OTEL_ variables cannot disturb a service that has no traces.
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        yield None
        return
    settings = load_settings(TracingSettings)
    if settings.sdk_disabled or settings.traces_exporter == "none":
        yield None
        return
    # Imported here: it takes a third of a second, and 250 modules.
    from cardwatch_service.otel import OpenTelemetry

    tracer = OpenTelemetry(service, settings, metrics)
    try:
        yield tracer
    finally:
        tracer.close(flush_seconds)


def _operation(operation: str, topic: str) -> dict[str, str | int]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }


def _position(partition: int, offset: int) -> dict[str, str | int]:
    return {"messaging.destination.partition.id": str(partition), "messaging.kafka.offset": offset}
