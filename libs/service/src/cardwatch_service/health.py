"""The health endpoint of a service: ``/metrics`` (Prometheus), ``/healthz`` (liveness), ``/readyz`` (readiness)."""

import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cardwatch_contracts.errors import ConfigurationError
from prometheus_client import CollectorRegistry, make_wsgi_app

Check = Callable[[], str]
"""Returns an empty string when healthy, otherwise one sentence with the reason."""


class HealthEndpoint:
    """Serves a service's metrics and health from a thread of its own."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        healthy: Check = lambda: "",
        ready: Check = lambda: "",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """``port`` 0 takes a free one; see ``.port`` after ``start``."""
        self._metrics: Final = make_wsgi_app(registry)
        self._checks: Final = {"/healthz": healthy, "/readyz": ready}
        self._host = host
        self._port = port
        self._server: WSGIServer | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    def start(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: the port is in use.
        """
        try:
            self._server = make_server(
                self._host, self._port, self._app, server_class=_Server, handler_class=_QuietHandler
            )
        except OSError as error:
            raise ConfigurationError(
                f"cannot serve metrics on {self._host}:{self._port}: {error.strerror}; "
                "set CARDWATCH_METRICS_PORT to a free port, or to 0 for any"
            ) from error
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start_response)
            return answer
        check = self._checks.get(path)
        if check is None:
            start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"not found; expected /metrics, /healthz or /readyz\n"]
        problem = check()
        status = "503 Service Unavailable" if problem else "200 OK"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [(problem or "ok").encode() + b"\n"]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: probes come every few seconds."""
