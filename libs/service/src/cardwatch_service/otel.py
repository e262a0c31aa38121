"""The tracer on OpenTelemetry's SDK: sampling, ids, and the queue in front of the collector.

Imported only where traces are on; ``tracing.py`` is what services see.
"""

import logging
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers
from prometheus_client import Counter

from cardwatch_service.logs import get_logger
from cardwatch_service.metrics import Metrics, span_counter
from cardwatch_service.trace_context import is_sampled, to_text_headers
from cardwatch_service.tracing import FLUSH_SECONDS, Attributes, Span, Tracer, TracingSettings

_log = get_logger(__name__)

_QUEUE_SPANS: Final = 2048
_BATCH_SPANS: Final = 512
_PARENT_BASED: Final = "parentbased_"
_W3C: Final = TraceContextTextMapPropagator()
# A root span has no parent, even if another span is current in its thread.
_NO_PARENT: Final = Context()


class OpenTelemetry(Tracer):
    """Sends spans to a collector, from a thread of its own."""

    def __init__(
        self, service: str, settings: TracingSettings, metrics: Metrics, exporter: SpanExporter | None = None
    ) -> None:
        """``exporter`` replaces the collector in tests."""
        spans = span_counter(metrics)
        self._ids: Final = CardSafeIdGenerator()
        self._provider: Final = TracerProvider(
            sampler=sampler(settings),
            resource=_resource(service),
            id_generator=self._ids,
            # `close` has its own time limit; nothing else may delay the end of the process.
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(_CountingQueue(exporter or _collector(settings), spans))
        self._tracer: Final = self._provider.get_tracer("cardwatch")
        self._follows_parents: Final = settings.traces_sampler.startswith(_PARENT_BASED)
        shares = {"always_off": 0.0, "traceidratio": settings.traces_sampler_arg}
        self._sampled_share: Final = shares.get(settings.traces_sampler, 1.0)

    @property
    def sampled_share(self) -> float:
        return self._sampled_share

    def close(self, flush_seconds: float = FLUSH_SECONDS) -> None:
        """Send the last spans and stop, within ``flush_seconds`` even if the collector does not answer."""
        shutdown = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
        shutdown.start()
        shutdown.join(flush_seconds)

    def _start(
        self,
        name: str,
        kind: Literal["PRODUCER", "CONSUMER", "CLIENT"],
        context: str | None,
        attributes: Attributes,
        start_ns: int | None = None,
        span_id: int | None = None,
    ) -> Span:
        if context is not None and self._follows_parents and not is_sampled(context):
            return Span(context)  # the case of most messages: nothing of the SDK is called
        parent = _NO_PARENT if context is None else _W3C.extract(to_text_headers(context), _NO_PARENT)
        with self._ids.next_span_id(span_id):
            span = self._tracer.start_span(name, parent, SpanKind[kind], attributes, start_time=start_ns)
        headers: dict[str, str] = {}
        _W3C.inject(headers, set_span_in_context(span, _NO_PARENT))
        return Span(" ".join(headers.values()), span)


class CardSafeIdGenerator(IdGenerator):
    """Random ids that cannot be mistaken for card numbers.

    Ids travel in headers, and what looks like a card number there is masked in dead letters and in bronze. So each
    begins with a letter and has no thirteen decimal digits in a row. Sampling uses other bits than the first four.
    """

    _DIGITS: Final = re.compile("[0-9]{13}")
    _random: Final = random.Random()  # noqa: S311 - ids have to differ, nobody has to be unable to guess them

    def __init__(self) -> None:
        self._given: Final = threading.local()

    def generate_trace_id(self) -> int:
        return self._generate(128)

    def generate_span_id(self) -> int:
        return getattr(self._given, "span_id", None) or self._generate(64)

    @contextmanager
    def next_span_id(self, span_id: int | None) -> Iterator[None]:
        """Give this id to the span that this thread starts within the ``with``; None for a new one."""
        self._given.span_id = span_id
        try:
            yield
        finally:
            self._given.span_id = None

    def _generate(self, bits: int) -> int:
        while True:
            # Sets the first and the third bit: a, b, e or f.
            candidate = self._random.getrandbits(bits) | (0xA << (bits - 4))
            # The flags ("-01") follow the last digits.
            if self._DIGITS.search(f"{candidate:x}01") is None:
                return candidate


class _CountingQueue(BatchSpanProcessor):
    """The SDK's queue in front of the exporter, with a count of the spans by outcome.

    The queue never overflows: a span that does not fit is dropped here, where it can be counted.
    """

    def __init__(self, exporter: SpanExporter, spans: Counter) -> None:
        self._room = _QUEUE_SPANS
        self._lock: Final = threading.Lock()
        self._dropped: Final = spans.labels("dropped")
        super().__init__(
            _CountingExporter(exporter, spans, self._make_room),
            max_queue_size=_QUEUE_SPANS,
            max_export_batch_size=_BATCH_SPANS,
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

    def _make_room(self, count: int) -> None:
        with self._lock:
            self._room += count


class _CountingExporter(SpanExporter):
    """Counts the spans that the exporter sends and those it fails to send; logs when it starts to fail and when it
    recovers.
    """

    def __init__(self, exporter: SpanExporter, spans: Counter, make_room: Callable[[int], None]) -> None:
        self._exporter: Final = exporter
        self._make_room: Final = make_room
        self._exported: Final = spans.labels("exported")
        self._failed: Final = spans.labels("failed")
        self._works = True
        # The exporter would log a line for each failure and each retry.
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_LAST_MESSAGE)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._make_room(len(spans))
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001  # no failure of tracing may disturb the service
            _LAST_MESSAGE.text, result = type(error).__name__, SpanExportResult.FAILURE
        works = result is SpanExportResult.SUCCESS
        (self._exported if works else self._failed).inc(len(spans))
        if works and not self._works:
            _log.info("the collector accepts traces again")
        elif self._works and not works:
            _log.warning("the collector accepts no traces; only traces are lost", reason=_LAST_MESSAGE.text)
        self._works = works
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _LastMessage(logging.Filter):
    """Keeps the last message of a logger instead of logging it."""

    text = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.text = record.getMessage()[:300]
        return False


_LAST_MESSAGE: Final = _LastMessage()


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
    attributes = {SERVICE_NAME: service}
    with suppress(PackageNotFoundError):  # installed as a part of something else
        attributes[SERVICE_VERSION] = version(service)
    return Resource.create(attributes).merge(OTELResourceDetector().detect())
