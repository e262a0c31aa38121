"""Free TCP ports on the loopback interface, kept over restarts while they stay free."""

import random
import socket
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from cardwatch_contracts.errors import PlatformError

HOST: Final = "127.0.0.1"

# Below the ephemeral range of every system: no outgoing connection takes such a port between check and bind.
_RANGE: Final = range(20_000, 32_000)
_ATTEMPTS: Final = 200

# Closed with the process. They are not inherited by the programs that it starts.
_holders: Final[list[socket.socket]] = []


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java's server sockets do: a connection in TIME_WAIT does not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(avoid: Iterable[int] = (), *, candidates: Sequence[int] = _RANGE) -> int:
    """A free port of ``candidates`` that is not in ``avoid``, and that no other call returns while this process lives.

    Whoever gets it may start its server seconds later, in another process. Until this process ends the port is
    therefore held by a socket that is bound and does not listen: on Linux a server that sets SO_REUSEADDR, as all of
    ours and Java's do, can listen on it nevertheless, and no other call in any process can hold it. Elsewhere such a
    socket would be in the server's way, and is closed at once.

    Raises:
        PlatformError: none was found.
    """
    taken = set(avoid)
    for _ in range(_ATTEMPTS):
        port = random.choice(candidates)  # noqa: S311 - not a secret
        if port not in taken and _hold(port):
            return port
    raise PlatformError(f"no free port from {candidates[0]} to {candidates[-1]} on {HOST}")


def _hold(port: int) -> bool:
    """Keep the port from other callers; False if it is taken or held."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        holder.bind((HOST, port))  # without SO_REUSEADDR: fails if another socket has the port, listening or not
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        holder.close()
        return False
    if sys.platform == "linux":
        _holders.append(holder)
    else:
        holder.close()
    return True


def choose_ports(count: int, remembered: Iterable[int] = ()) -> list[int]:
    """``count`` different free ports; a remembered one keeps its place if it is still free."""
    previous = list(remembered)
    chosen: list[int] = []
    for index in range(count):
        port = previous[index] if index < len(previous) else 0
        if not port or port in chosen or not is_free(port):
            port = free_port([*chosen, *previous])
        chosen.append(port)
    return chosen


def accepts_connections(port: int, timeout_seconds: float = 0.5) -> bool:
    """Whether something listens on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False
