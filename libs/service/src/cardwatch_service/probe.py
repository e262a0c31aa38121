"""``python -m cardwatch_service.probe [PATH]``: ask the service of this container how it is; exit code 0 means well.

For a container's health check, where no curl is. The port is ``CARDWATCH_METRICS_PORT``, the path ``/readyz`` unless
another is given. It is started every few seconds, so it imports next to nothing: Python's HTTP client alone would take
five times as long as the question.
"""

import os
import socket
import sys
from typing import Final

_TIMEOUT_SECONDS: Final = 4.0
_ANSWER_BYTES: Final = 8 * 1024 * 1024


def probe(port: int, path: str) -> tuple[bool, str]:
    """Whether the service on this machine's port answers that it is well, and its answer or what was wrong."""
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
    """Entry point; prints what the service says."""
    port = os.environ.get("CARDWATCH_METRICS_PORT", "")
    if not port.isdigit() or port == "0":
        print(f"CARDWATCH_METRICS_PORT={port!r}: the port that the service listens on would be right", file=sys.stderr)
        return 1
    well, answer = probe(int(port), sys.argv[1] if len(sys.argv) > 1 else "/readyz")
    print(answer)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
