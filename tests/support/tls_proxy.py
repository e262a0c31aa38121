"""Ends TLS in front of a server that speaks none, as a load balancer does."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

_POSTGRES_ASKS_FOR_TLS: Final = bytes.fromhex("0000000804d2162f")
_PIECE_BYTES: Final = 65536


class TlsProxy:
    """Accepts TLS connections on 127.0.0.1, and passes their content on.

    Args:
        context: certificate, and what clients have to show.
        connect: a new connection to the server behind it.
        postgres: clients ask for TLS in PostgreSQL's protocol before they begin with it.
    """

    def __init__(self, context: ssl.SSLContext, connect: Callable[[], Any], *, postgres: bool = False) -> None:
        self._context: Final = context
        self._connect: Final = connect
        self._postgres: Final = postgres
        self._listener: Final = socket.create_server(("127.0.0.1", 0), backlog=32)
        self.port: Final[int] = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self._postgres:
                assert connection.recv(len(_POSTGRES_ASKS_FOR_TLS)) == _POSTGRES_ASKS_FOR_TLS
                connection.sendall(b"S")
            with self._context.wrap_socket(connection, server_side=True) as client, self._connect() as server:
                back = threading.Thread(target=_pass_on, args=[server, client], daemon=True)
                back.start()
                _pass_on(client, server)
                back.join()


def _pass_on(source: Any, target: Any) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
