"""``python -m cardwatch_service.probe [PATH]``: query the health endpoint of the service in this container.

For a container's health check, since images have no curl; exit code 0 means healthy. The port is
``CARDWATCH_METRICS_PORT``, the path ``/readyz`` by default. It is started every few seconds, so it imports next to
nothing: importing Python's HTTP client takes five times as long as the query.
"""

import os
import socket
import sys
from typing import Final

_TIMEOUT_SECONDS: Final = 4.0
_ANSWER_BYTES: Final = 8 * 1024 * 1024


def probe(port: int, path: str) -> tuple[bool, str]:
    """Whether the service on a local port answers with status 200, and the body of its answer or the error."""
    request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS) as connection:
            connection.sendall(request)
            while len(answer) < _ANSWER_BYTES and (more := connection.recv(64 * 1024)):
                answer += more
    except OSError as error:
        return False, f"no answer from port {port}: {error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(None, 2)[1:2]
    return status == [b"200"], body.decode(errors="replace").strip()


def main() -> int:
    """Entry point; prints the answer."""
    port = os.environ.get("CARDWATCH_METRICS_PORT", "")
    if not port.isdigit() or port == "0":
        print(f"CARDWATCH_METRICS_PORT={port!r}: expected the port that the service listens on", file=sys.stderr)
        return 1
    healthy, answer = probe(int(port), sys.argv[1] if len(sys.argv) > 1 else "/readyz")
    print(answer)
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
