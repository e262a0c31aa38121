"""An OpenTelemetry collector for tests: receives spans over OTLP/HTTP (protobuf) and keeps them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it was received. Times are nanoseconds since 1970-01-01 UTC."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    error: bool


@dataclass
class Collector:
    """The spans that were received so far, and how requests are answered.

    Attributes:
        endpoint: value for OTEL_EXPORTER_OTLP_ENDPOINT.
        status: HTTP status of each answer.
        answer: while it is cleared, requests get no answer.
    """

    endpoint: str
    spans: list[ReceivedSpan] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    status: int = 200
    answer: threading.Event = field(default_factory=threading.Event)

    def take(self, body: bytes) -> None:
        self.raw.append(body)
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = attributes(resource_spans.resource.attributes)
            self.spans += [
                ReceivedSpan(
                    service=resource["service.name"],
                    name=span.name,
                    kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    attributes=attributes(span.attributes),
                    resource=resource,
                    error=bool(span.status.code),
                )
                for scope_spans in resource_spans.scope_spans
                for span in scope_spans.spans
            ]


def attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector on a free port for the length of a ``with``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.answer.wait(60)
            if found.status == 200:
                assert self.path == "/v1/traces", self.path
                found.take(body)
            self.send_response(found.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are recorded, not printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    found = Collector(f"http://127.0.0.1:{server.server_port}")
    found.answer.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.answer.set()
        server.shutdown()
        server.server_close()
        thread.join()
