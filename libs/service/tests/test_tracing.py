"""Traces: switched by OpenTelemetry's variables, carried in headers, and never a cause of a failure."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cardwatch_card_numbers.scanner import find_card_numbers
from cardwatch_card_numbers.testing import TEXT_CASES, MaskingCase
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_service.metrics import SPANS_TOTAL, Metrics
from cardwatch_service.otel import CardSafeIdGenerator, OpenTelemetry, sampler
from cardwatch_service.trace_context import extract_context, is_sampled, to_headers, to_text_headers
from cardwatch_service.tracing import OUTCOME, Span, Tracer, TracingSettings, tracing
from structlog.testing import capture_logs
from support.otlp_collector import Collector, collector
from support.recorded_spans import ALWAYS, RecordingTracer
from support.rows import every_row

TRACE, STEP = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{STEP}-01"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXPORTER_OTLP_ENDPOINT", "EXPORTER_OTLP_TRACES_ENDPOINT", "TRACES_SAMPLER", "TRACES_SAMPLER_ARG"):
        monkeypatch.delenv(f"OTEL_{name}", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with collector() as found:
        yield found


def headers(parent: str | bytes | None, state: str | None = None) -> list[tuple[str, bytes | None]]:
    value = parent.encode() if isinstance(parent, str) else parent
    pairs: list[tuple[str, bytes | None]] = [("other", b"x"), ("traceparent", value)]
    return pairs if state is None else [*pairs, ("tracestate", state.encode())]


def test_a_context_is_passed_on_unchanged() -> None:
    assert extract_context(headers(PARENT)) == PARENT
    context = extract_context(headers(PARENT, "vendor=a1, other=b"))
    assert context == f"{PARENT} vendor=a1, other=b"
    assert to_text_headers(context) == {"traceparent": PARENT, "tracestate": "vendor=a1, other=b"}
    assert extract_context(to_headers(context)) == context
    assert is_sampled(context)
    assert not is_sampled(f"00-{TRACE}-{STEP}-02")


def test_of_several_the_last_one_counts() -> None:
    older = f"00-{'1' * 32}-{STEP}-01"
    assert extract_context([("traceparent", older.encode()), ("traceparent", PARENT.encode())]) == PARENT


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert extract_context(headers(f"cc-{TRACE}-{STEP}-01-what-comes-then")) == PARENT


@pytest.mark.parametrize(
    "bad",
    [
        None, b"", b"\xff\xfe", "nonsense", PARENT[:-1], PARENT + "0", PARENT.upper(), PARENT + "-more",
        f"ff-{TRACE}-{STEP}-01", f"00-{'0' * 32}-{STEP}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{STEP}-0g",
        f"cc-{TRACE}-{STEP}-01-" + "x" * 600,
        f"00-{TRACE}-4111111111111111-01",
    ],
)  # fmt: skip
def test_a_malformed_context_counts_as_absent(bad: Any) -> None:
    assert extract_context(headers(bad)) is None


@pytest.mark.parametrize("bad", ["", "a=\nb", "a=é", "x" * 513, "card=4111111111111111"])
def test_a_malformed_tracestate_is_dropped(bad: str) -> None:
    assert extract_context(headers(PARENT, bad)) == PARENT


@every_row("case", TEXT_CASES)
def test_a_tracestate_with_a_card_number_is_dropped(case: MaskingCase) -> None:
    state = case.original.decode()
    assert extract_context(headers(PARENT, state)) == (PARENT if case.changes or not state else f"{PARENT} {state}")


def test_no_headers_no_context() -> None:
    assert extract_context(()) is None
    assert extract_context([("simulated-transaction-id", b"t-1")]) is None


def test_spans_follow_the_semantic_conventions_for_messaging() -> None:
    recorded = RecordingTracer()
    first = recorded.tracer.start_send("raw")
    first.set_offset(2, 41)
    first.end()
    second = recorded.tracer.start_process("raw", 2, 41, context=first.context, group="g", start_ns=123_000_000_000)
    second.set_attributes({OUTCOME: "refused"})
    second.end("Boom")
    third = recorded.tracer.start_delivery("webhook", context=second.context)
    third.end()
    one, two, three = recorded.spans()
    kafka = {
        "messaging.system": "kafka",
        "messaging.destination.name": "raw",
        "messaging.destination.partition.id": "2",
        "messaging.kafka.offset": 41,
    }
    send = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
    assert (one.name, one.kind.name, dict(one.attributes)) == ("send raw", "PRODUCER", {**kafka, **send})
    assert (two.name, two.kind.name) == ("process raw", "CONSUMER")
    assert dict(two.attributes) == {
        **kafka,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "g",
        OUTCOME: "refused",
        "error.type": "Boom",
    }
    assert (two.start_time, two.status.is_ok) == (123_000_000_000, False)
    assert (three.name, three.kind.name) == ("deliver webhook", "CLIENT")
    assert one.parent is None
    assert [two.parent.span_id, three.parent.span_id] == [one.context.span_id, two.context.span_id]
    assert len({span.context.trace_id for span in (one, two, three)}) == 1
    assert one.resource.attributes["service.name"] == "cardwatch-service"
    assert one.resource.attributes["service.version"]
    assert recorded.count("exported") == 3


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    recorded = RecordingTracer()
    recorded.tracer.start_send("raw").end()
    (span,) = recorded.spans()
    assert span.resource.attributes["service.name"] == "edge"
    assert span.resource.attributes["deployment.environment.name"] == "test"


def test_the_sampler_decides_once_for_a_trace() -> None:
    recorded = RecordingTracer(traces_sampler_arg=0.0)
    root = recorded.tracer.start_send("raw")
    assert not root.recording
    assert extract_context(to_headers(root.context)) == root.context, (
        "the decision is sent, otherwise the next service would sample again"
    )
    assert not is_sampled(root.context)
    following = recorded.tracer.start_process("raw", 0, 0, context=PARENT)
    assert following.recording, "one that somebody records is gone on with"
    following.end()
    unrecorded = recorded.tracer.start_process("raw", 0, 0, context=f"00-{TRACE}-{STEP}-00")
    assert unrecorded.context == f"00-{TRACE}-{STEP}-00", "carried on as it came"
    unrecorded.set_attributes({OUTCOME: "enriched"})
    unrecorded.set_offset(0, 0)
    unrecorded.add_event("evaluated", 1)
    unrecorded.end()
    assert [span.name for span in recorded.spans()] == ["process raw"]


def test_a_sampler_that_ignores_the_parent_decides_alone() -> None:
    recorded = RecordingTracer()
    recorded.tracer.start_process("raw", 0, 0, context=f"00-{TRACE}-{STEP}-00").end()
    (span,) = recorded.spans()
    assert f"{span.context.trace_id:032x}" == TRACE


def test_one_percent_of_traces_is_recorded_by_default() -> None:
    assert sampler(TracingSettings()).get_description().startswith("ParentBased{root:TraceIdRatioBased{0.01}")
    assert sampler(TracingSettings(traces_sampler="always_off")).get_description() == "AlwaysOffSampler"


def test_ids_cannot_be_taken_for_card_numbers() -> None:
    ids = CardSafeIdGenerator()
    for _ in range(2_000):
        text = f"00-{ids.generate_trace_id():032x}-{ids.generate_span_id():016x}-01"
        assert find_card_numbers(text) == []
        assert extract_context(headers(text)) == text
        assert not any(part[0].isdigit() for part in text.split("-")[1:3])


def test_spans_without_room_are_dropped_and_counted(receiver: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    receiver.answer.clear()
    metrics = Metrics()
    tracer = OpenTelemetry("cardwatch-service", TracingSettings(traces_sampler=ALWAYS), metrics)
    begin = time.monotonic()
    for _ in range(5_000):
        tracer.start_send("raw").end()
    assert time.monotonic() - begin < 3, "a collector that does not answer delays nothing"
    dropped = metrics.registry.get_sample_value(SPANS_TOTAL, {"outcome": "dropped"}) or 0
    # What is being exported has left the queue.
    assert 5_000 - 2_048 - 512 <= dropped <= 5_000 - 2_048
    receiver.answer.set()
    tracer.close()
    assert len(receiver.spans) == 5_000 - dropped
    assert metrics.registry.get_sample_value(SPANS_TOTAL, {"outcome": "exported"}) == 5_000 - dropped


def test_closing_does_not_wait_for_the_collector(receiver: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    receiver.answer.clear()
    begin = time.monotonic()
    with tracing("cardwatch-service", Metrics(), flush_seconds=0.5) as tracer:
        assert tracer is not None
        tracer.start_process("raw", 0, 0, context=PARENT).end()
    assert 0.4 < time.monotonic() - begin < 2


def test_failed_exports_are_counted_and_logged_once(
    receiver: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    receiver.status = 401
    metrics = Metrics()

    def count(outcome: str) -> float | None:
        return metrics.registry.get_sample_value(SPANS_TOTAL, {"outcome": outcome})

    with capture_logs() as logs, tracing("cardwatch-service", metrics) as tracer:
        for number in (1.0, 2.0):
            end(tracer)
            wait_for(lambda number=number: count("failed") == number)
        receiver.status = 200
        end(tracer)
        wait_for(lambda: count("exported") == 1)
    assert [line["event"] for line in logs] == [
        "the collector accepts no traces; only traces are lost",
        "the collector accepts traces again",
    ]
    assert "401" in logs[0]["reason"]
    assert caplog.records == [], "the exporter itself says nothing"


def end(tracer: Tracer | None) -> Span:
    assert tracer is not None
    span = tracer.start_process("raw", 0, 0, context=PARENT)
    span.end()
    return span


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_TRACES_SAMPLER": "xray"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_off_is_off(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    metrics, threads = Metrics(), threading.active_count()
    with tracing("cardwatch-service", metrics) as tracer:
        assert tracer is None
        assert threading.active_count() == threads
    assert SPANS_TOTAL.removesuffix("_total") not in {family.name for family in metrics.registry.collect()}


def test_off_imports_nothing_of_opentelemetry() -> None:
    program = """
import sys, threading
import cardwatch_producer.bootstrap, cardwatch_notifier.bootstrap
import cardwatch_enricher.stream.batch_processor, cardwatch_detector.velocity.publishing.alert_traces
from cardwatch_service.metrics import Metrics
from cardwatch_service.tracing import tracing
with tracing("cardwatch-producer", Metrics()) as tracer:
    assert tracer is None
    assert [name for name in sys.modules if name.startswith("opentelemetry")] == []
    assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "xray"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "few"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"{variable}='{value}'"), tracing("cardwatch-service", Metrics()):
        pass
