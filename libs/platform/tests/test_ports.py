"""Ports: free ones, and the same ones again."""

import socket
import subprocess
import sys

import pytest
from cardwatch_contracts.errors import PlatformError
from cardwatch_platform.ports import HOST, accepts_connections, choose_ports, free_port, is_free


def test_chosen_ports_are_free_and_different() -> None:
    chosen = choose_ports(3)
    assert len(set(chosen)) == 3
    assert all(is_free(port) for port in chosen)


def test_remembered_ports_keep_their_places() -> None:
    remembered = choose_ports(3)
    assert choose_ports(3, remembered) == remembered


def test_remembered_port_that_is_taken_is_replaced() -> None:
    remembered = choose_ports(3)
    with socket.create_server((HOST, remembered[1])):
        assert not is_free(remembered[1])
        chosen = choose_ports(3, remembered)
    assert (chosen[0], chosen[2]) == (remembered[0], remembered[2])
    assert chosen[1] not in remembered


def test_unknown_ports_are_chosen_now() -> None:
    assert 0 not in choose_ports(3, (0, 0, 0))


def test_a_listening_port_is_detected() -> None:
    port = free_port()
    assert not accepts_connections(port)
    with socket.create_server((HOST, port)):
        assert accepts_connections(port)


def test_a_missing_free_port_is_reported() -> None:
    with socket.create_server((HOST, 0)) as server:
        taken: int = server.getsockname()[1]
        with pytest.raises(PlatformError, match=f"no free port from {taken} to {taken}"):
            free_port(candidates=[taken])


def test_a_port_is_held_until_its_server_listens() -> None:
    """Between the choice of a port and its server's start nobody else gets the port, in this process or another."""
    port = free_port()
    with pytest.raises(PlatformError, match="no free port"):
        free_port(candidates=[port])
    other = f"from cardwatch_platform.ports import free_port; free_port(candidates=[{port}])"
    ended = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False)
    assert f"no free port from {port} to {port}" in ended.stderr

    listen = (
        "import socket, sys; from http.server import *; "
        f"HTTPServer(('127.0.0.1', {port}), BaseHTTPRequestHandler).server_close(); print('listened')"
    )
    for _ in range(2):  # and again after a restart
        assert subprocess.run([sys.executable, "-c", listen], capture_output=True, check=True).stdout == b"listened\n"
