"""The tracer, made of OpenTelemetry's SDK. Imported only where traces are on."""

import logging
import random
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers
from prometheus_client import Counter

from cardwatch_service.logs import get
from cardwatch_service.metrics import Metrics
from cardwatch_service.trace_context import as_text_headers, is_sampled
from cardwatch_service.tracing import RECEIVER, SPANS_TOTAL, Span, TracingSettings

_log = get(__name__)

# At most so long for the last spans: well inside the grace period that a service has for its own work.
_FLUSH_SECONDS: Final = 3.0
_MOST_WAITING: Final = 2048
_BATCH: Final = 512
_PARENT_BASED: Final = "parentbased_"
_W3C: Final = TraceContextTextMapPropagator()
# A root has no parent, whatever else may be going on in its thread.
_NO_PARENT: Final = Context()
_Attributes = Mapping[str, str | int]


class OpenTelemetry:
    """A ``tracing.Tracer`` that sends spans to a collector, from a thread of its own."""

    def __init__(
        self, service: str, settings: TracingSettings, metrics: Metrics, exporter: SpanExporter | None = None
    ) -> None:
        """``exporter`` replaces the collector in tests."""
        spans = Counter(
            SPANS_TOTAL,
            "Spans of this service's traces: exported, failed (the collector did not take them), dropped (no room).",
            ["outcome"],
            registry=metrics.registry,
        )
        self._provider: Final = TracerProvider(
            sampler=sampler(settings),
            resource=_resource(service),
            id_generator=UnmistakableIds(),
            # The process's end waits for nothing that `close` has given up on.
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(_Waiting(exporter or _collector(settings), spans))
        self._tracer: Final = self._provider.get_tracer("cardwatch")
        self._follows_parents: Final = settings.traces_sampler.startswith(_PARENT_BASED)

    def sending(self, topic: str) -> Span:
        return self._start(f"send {topic}", SpanKind.PRODUCER, None, _messaging("send", topic))

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
        attributes = {**_messaging("process", topic), **_place(partition, offset)}
        if group:
            attributes[messaging.MESSAGING_CONSUMER_GROUP_NAME] = group
        return self._start(f"process {topic}", SpanKind.CONSUMER, context, attributes, start_ns)

    def delivering(self, receiver: str, *, context: str) -> Span:
        return self._start(f"deliver {receiver}", SpanKind.CLIENT, context, {RECEIVER: receiver})

    def close(self) -> None:
        """Send what waits and end, with or without the collector, within a few seconds."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(_FLUSH_SECONDS)

    def _start(
        self, name: str, kind: SpanKind, context: str | None, attributes: _Attributes, start_ns: int | None = None
    ) -> Span:
        if context is not None and self._follows_parents and not is_sampled(context):
            return _Unrecorded(context)
        parent = _NO_PARENT if context is None else _W3C.extract(as_text_headers(context), _NO_PARENT)
        return _Span(self._tracer.start_span(name, parent, kind, attributes, start_time=start_ns))


class _Unrecorded:
    """A ``tracing.Span`` of a trace that is not recorded, as most are: what came is carried on, that is all."""

    __slots__ = ("context",)
    recording: Final = False

    def __init__(self, context: str) -> None:
        self.context: Final = context

    def note(self, attributes: _Attributes) -> None:
        """Nobody will ask."""

    def placed(self, partition: int, offset: int) -> None:
        """Nobody will ask."""

    def event(self, name: str, at_ns: int) -> None:
        """Nobody will ask."""

    def end(self, error: str = "") -> None:
        """It was never begun."""


class _Span:
    """A ``tracing.Span``."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def recording(self) -> bool:
        return self._span.is_recording()

    @property
    def context(self) -> str:
        headers: dict[str, str] = {}
        _W3C.inject(headers, trace.set_span_in_context(self._span, _NO_PARENT))
        return " ".join(headers.values())

    def note(self, attributes: _Attributes) -> None:
        self._span.set_attributes(attributes)

    def placed(self, partition: int, offset: int) -> None:
        self._span.set_attributes(_place(partition, offset))

    def event(self, name: str, at_ns: int) -> None:
        self._span.add_event(name, timestamp=at_ns)

    def end(self, error: str = "") -> None:
        if error:
            self._span.set_attribute(ERROR_TYPE, error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class UnmistakableIds(IdGenerator):
    """Random ids in which nobody can see a card number.

    Ids travel in headers, and what looks like a card number there is masked in dead letters and in bronze. So each
    begins with a letter and has no thirteen decimal digits in a row. Sampling goes by other bits than the first four.
    """

    _DIGITS: Final = re.compile("[0-9]{13}")
    _random: Final = random.Random()  # noqa: S311 - ids have to differ, nobody has to be unable to guess them

    def generate_trace_id(self) -> int:
        return self._generate(128)

    def generate_span_id(self) -> int:
        return self._generate(64)

    def _generate(self, bits: int) -> int:
        while True:
            # Sets the first and the third bit: a, b, e or f.
            found = self._random.getrandbits(bits) | (0xA << (bits - 4))
            # The flags ("-01") follow the last digits.
            if self._DIGITS.search(f"{found:x}01") is None:
                return found


class _Waiting(BatchSpanProcessor):
    """The SDK's queue in front of the exporter, with a count of what became of each span.

    The queue never overflows: a span for which there is no room is dropped here, where it can be counted.
    """

    def __init__(self, exporter: SpanExporter, spans: Counter) -> None:
        self._room = _MOST_WAITING
        self._lock: Final = threading.Lock()
        self._dropped: Final = spans.labels("dropped")
        super().__init__(
            _Counted(exporter, spans, self._left), max_queue_size=_MOST_WAITING, max_export_batch_size=_BATCH
        )

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._lock:
            full = self._room == 0
            self._room -= not full
        if full:
            self._dropped.inc()
        else:
            super().on_end(span)

    def _left(self, count: int) -> None:
        with self._lock:
            self._room += count


class _Counted(SpanExporter):
    """Counts what the exporter manages, and says once when it stops and once when it works again."""

    def __init__(self, exporter: SpanExporter, spans: Counter, left_the_queue: Callable[[int], None]) -> None:
        self._exporter: Final = exporter
        self._left: Final = left_the_queue
        self._exported: Final = spans.labels("exported")
        self._failed: Final = spans.labels("failed")
        self._works = True
        # Of each failure and each of its retries the exporter would write a line.
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_REASON)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._left(len(spans))
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001  # whatever it is, traces must not disturb the service
            _REASON.text, result = type(error).__name__, SpanExportResult.FAILURE
        works = result is SpanExportResult.SUCCESS
        (self._exported if works else self._failed).inc(len(spans))
        if works and not self._works:
            _log.info("the collector takes traces again")
        elif self._works and not works:
            _log.warning("the collector takes no traces; they are lost, nothing else is", reason=_REASON.text)
        self._works = works
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _Reason(logging.Filter):
    """Keeps the last message of a logger to itself."""

    text = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.text = record.getMessage()[:300]
        return False


_REASON: Final = _Reason()


def sampler(settings: TracingSettings) -> Sampler:
    """The sampler that the settings name."""
    ratio = TraceIdRatioBased(settings.traces_sampler_arg)
    roots: Mapping[str, Sampler] = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF, "traceidratio": ratio}
    name = settings.traces_sampler
    root = roots[name.removeprefix(_PARENT_BASED)]
    return ParentBased(root) if name.startswith(_PARENT_BASED) else root


def _collector(settings: TracingSettings) -> SpanExporter:
    headers = settings.exporter_otlp_headers.get_secret_value()
    # Endpoint, certificates, compression, time limit: from the environment, by the exporter itself.
    return OTLPSpanExporter(headers=parse_env_headers(headers, liberal=True) if headers else None)


def _resource(service: str) -> Resource:
    ours = {SERVICE_NAME: service}
    with suppress(PackageNotFoundError):  # installed as a part of something else
        ours[SERVICE_VERSION] = version(service)
    return Resource.create(ours).merge(OTELResourceDetector().detect())


def _messaging(operation: str, topic: str) -> dict[str, str | int]:
    return {
        messaging.MESSAGING_SYSTEM: "kafka",
        messaging.MESSAGING_OPERATION_NAME: operation,
        messaging.MESSAGING_OPERATION_TYPE: operation,
        messaging.MESSAGING_DESTINATION_NAME: topic,
    }


def _place(partition: int, offset: int) -> dict[str, str | int]:
    return {messaging.MESSAGING_DESTINATION_PARTITION_ID: str(partition), messaging.MESSAGING_KAFKA_OFFSET: offset}
