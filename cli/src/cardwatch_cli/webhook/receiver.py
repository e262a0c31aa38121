"""A webhook receiver for the demo and the tests: an HTTP server that verifies and records signed alerts."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from cardwatch_units.timestamps import now_microseconds
from standardwebhooks import Webhook, WebhookVerificationError

HEALTH_PATH: Final = "/healthz"

_MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_STOP_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request with a valid signature.

    Attributes:
        webhook_id: the same for all retries of a message.
        received_at: when the body had been read, microseconds since 1970-01-01 UTC.
        body: the parsed JSON.
        status: the HTTP status of the response.
        traceparent: the header of W3C Trace Context, if any.
    """

    webhook_id: str
    received_at: int
    body: dict[str, Any]
    status: int
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class _Failure:
    status: int
    retry_after: str | None


class WebhookReceiver:
    """An HTTP server that verifies and records webhooks; a context manager.

    ``on_alert`` is called for each accepted request, from the server's threads, before it is answered.
    """

    def __init__(
        self,
        secret: str,
        on_alert: Callable[[ReceivedRequest], None] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        remember: bool = True,
    ) -> None:
        """
        Args:
            secret: the signing key, ``whsec_`` and base64.
            port: 0 for a free one.
            remember: whether ``requests`` keeps the requests.
        """
        self._verifier: Final = Webhook(secret)
        self._on_alert: Final = on_alert
        self._remember: Final = remember
        self._lock: Final = threading.Lock()
        self._requests: list[ReceivedRequest] = []
        self._failures: deque[_Failure] = deque()
        self._bad_signatures = 0
        self.delay_seconds: float = 0.0
        """The time to wait before each response."""
        self._server: Final = _Server((host, port), _handler(self))
        self._thread: Final = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_POLL_SECONDS,), name="webhook-receiver", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The URL that alerts are posted to."""
        return f"http://{self._server.server_address[0]!s}:{self._server.server_port}/alerts"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests with a valid signature so far, failed ones (``fail_next``) included, in order of arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def accepted(self) -> list[ReceivedRequest]:
        """The requests that were answered with 2xx."""
        return [request for request in self.requests if request.status < 300]

    @property
    def bad_signatures(self) -> int:
        """The number of requests that were answered with 401."""
        with self._lock:
            return self._bad_signatures

    def unique_ids(self) -> set[str]:
        """The ids of the accepted messages."""
        return {request.webhook_id for request in self.accepted}

    def fail_next(self, n: int, status: int = 503, retry_after: int | str | None = None) -> None:
        """Answer the next ``n`` validly signed requests with ``status`` (and ``Retry-After``: seconds or a date)."""
        failure = _Failure(status, None if retry_after is None else str(retry_after))
        with self._lock:
            self._failures.extend([failure] * n)

    def _receive(self, body: bytes, headers: dict[str, str]) -> tuple[int, str | None]:
        """Record a request; returns the status of the response and its Retry-After, if any."""
        received_at = now_microseconds()
        try:
            parsed = self._verifier.verify(body, headers)
        except (WebhookVerificationError, ValueError):
            with self._lock:
                self._bad_signatures += 1
            return 401, None
        if self.delay_seconds > 0:
            time.sleep(self.delay_seconds)
        with self._lock:
            failure = self._failures.popleft() if self._failures else None
            status = failure.status if failure else 204
            request = ReceivedRequest(headers["webhook-id"], received_at, parsed, status, headers.get("traceparent"))
            if self._remember:
                self._requests.append(request)
        if failure is not None:
            return failure.status, failure.retry_after
        if self._on_alert is not None:
            self._on_alert(request)
        return status, None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a kept-alive connection would delay the end
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: senders may be killed in the middle of a request."""


def _handler(receiver: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 300

        def do_GET(self) -> None:
            self._answer(200 if self.path == HEALTH_PATH else 404, None)

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not length.isdigit() or int(length) > _MAX_BODY_BYTES:
                self.close_connection = True
                self._answer(413 if length.isdigit() else 411, None)
                return
            body = self.rfile.read(int(length))
            if len(body) < int(length):  # the sender died in the middle of the request
                self.close_connection = True
                return
            self._answer(*receiver._receive(body, {name.lower(): value for name, value in self.headers.items()}))

        def _answer(self, status: int, retry_after: str | None) -> None:
            self.send_response(status)
            if status != 204:
                self.send_header("content-length", "0")
            if retry_after is not None:
                self.send_header("retry-after", retry_after)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing: requests are recorded."""

    return Handler
