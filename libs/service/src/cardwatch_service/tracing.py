"""Traces, as services see them: what a tracer does, and whether there is one.

Off unless an OpenTelemetry collector is named. A service then has no tracer, takes one look at that for each message,
and nothing of OpenTelemetry is even imported (``otel.py`` is the only module that does).
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Final, Literal, Protocol

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import load

SPANS_TOTAL: Final = "cardwatch_trace_spans_total"

# Attributes of our own. There is none for a card, an amount or a message's key, and there must not be one.
OUTCOME: Final = "cardwatch.outcome"
REASON: Final = "cardwatch.reason"
TRANSACTION_ID: Final = "cardwatch.transaction_id"
ALERT_ID: Final = "cardwatch.alert_id"
RULE_ID: Final = "cardwatch.rule_id"
RECEIVER: Final = "cardwatch.receiver"
MESSAGE_ID: Final = "cardwatch.message_id"

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Span(Protocol):
    """One step of one trace, under way."""

    @property
    def recording(self) -> bool:
        """Whether anything comes of it; False where its trace is not sampled."""

    @property
    def context(self) -> str:
        """What the next step has to be told (``trace_context``)."""

    def note(self, attributes: Mapping[str, str | int]) -> None:
        """Say something about it."""

    def placed(self, partition: int, offset: int) -> None:
        """The message that was sent is here."""

    def event(self, name: str, at_ns: int) -> None:
        """Something happened in it, nanoseconds since 1970-01-01 UTC."""

    def end(self, error: str = "") -> None:
        """It is over; ``error`` names the kind of failure, where it failed."""


class Tracer(Protocol):
    """Begins the steps of a service. None of its methods waits for anything or fails."""

    def sending(self, topic: str) -> Span:
        """A message is sent: where a trace begins, unless the sampler says otherwise."""

    def processing(
        self,
        topic: str,
        partition: int,
        offset: int,
        *,
        context: str | None,
        group: str = "",
        start_ns: int | None = None,
    ) -> Span:
        """A message is worked on.

        Args:
            topic, partition, offset: where it is.
            context: what it carried; None begins a trace of its own.
            group: the consumer group, where there is one.
            start_ns: when the work began, nanoseconds since 1970-01-01 UTC; now, if None.
        """

    def delivering(self, receiver: str, *, context: str) -> Span:
        """An attempt to deliver a message to a receiver."""


class TracingSettings(BaseSettings):
    """Those of OpenTelemetry's variables that decide something here, ``OTEL_<FIELD>``; others the SDK reads itself."""

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
def tracing(service: str, metrics: Metrics) -> Iterator[Tracer | None]:
    """The service's tracer, or None where traces are off; at the end what is left is sent, if that takes no longer than
    a few seconds.

    Args:
        service: as its package is called, ``cardwatch-enricher``: the name and version that its spans carry.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    # Looked at first, so that a platform's other OTEL_ variables cannot disturb a service that has no traces.
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        yield None
        return
    settings = load(TracingSettings)
    if settings.sdk_disabled or settings.traces_exporter == "none":
        yield None
        return
    # Imported here: it takes a third of a second, and 250 modules.
    from cardwatch_service.otel import OpenTelemetry

    tracer = OpenTelemetry(service, settings, metrics)
    try:
        yield tracer
    finally:
        tracer.close()
