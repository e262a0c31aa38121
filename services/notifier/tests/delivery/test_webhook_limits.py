"""Webhook attempts against servers that answer badly: each ends in time, with the right outcome, in little memory."""

import base64
import gzip
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from cardwatch_notifier.delivery.receiver import Delivered, Outcome, Rejected, TryAgain
from cardwatch_notifier.delivery.webhook_sender import WebhookSender
from cardwatch_notifier.outbox.protocol import Message

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
MESSAGE = Message(1, "id-2", "id", "{}", 0, 0, 0, 0)
DEADLINE_SECONDS = 0.75
LATE_SECONDS = 0.5
DRIP_SECONDS = 0.05
MAX_MEMORY_BYTES = 4 * 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(80_000_000))

Conversation = Callable[[socket.socket, threading.Event], None]


class Server:
    """Accepts connections on 127.0.0.1 and gives each to ``converse``, in a thread of its own."""

    def __init__(self, converse: Conversation) -> None:
        self._converse = converse
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.requests: list[bytes] = []
        self.connections = 0

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def read_request(self, connection: socket.socket) -> bool:
        request = b""
        while not request.endswith(b"\r\n\r\n{}"):
            piece = connection.recv(65536)
            if not piece:
                return False
            request += piece
        self.requests.append(request)
        return True

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._converse(connection, self._stopped)


@contextmanager
def serving(answer: Conversation | None, *, reads_request: bool = True) -> Iterator[Server]:
    """A server that reads a request and answers it; without ``answer`` it accepts and says nothing."""

    def converse(connection: socket.socket, stopped: threading.Event) -> None:
        if answer is None:
            stopped.wait()
            return
        while server.read_request(connection) if reads_request else True:
            answer(connection, stopped)

    server = Server(converse)
    threading.Thread(target=server.run, daemon=True).start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def sending(url: str, concurrency: int = 4) -> Iterator[WebhookSender]:
    sender = WebhookSender(url, SECRET, timeout_seconds=DEADLINE_SECONDS, concurrency=concurrency)
    try:
        yield sender
    finally:
        sender.close()


def attempt(answer: Conversation | None, *, reads_request: bool = True, scheme: str = "http") -> tuple[Outcome, float]:
    """The outcome of one attempt, and how many seconds it took."""
    with (
        serving(answer, reads_request=reads_request) as server,
        sending(f"{scheme}://127.0.0.1:{server.port}/alerts") as sender,
    ):
        began_at = time.monotonic()
        outcome = sender.deliver(MESSAGE)
        return outcome, time.monotonic() - began_at


def drip(connection: socket.socket, stopped: threading.Event, piece: bytes = b"x") -> None:
    """Send a piece now and then, until nobody takes it."""
    end = time.monotonic() + 10 * DEADLINE_SECONDS
    while time.monotonic() < end and not stopped.wait(DRIP_SECONDS):
        connection.sendall(piece)


def drip_header(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(OK + b"X-Slow: ")
    drip(connection, stopped)


def drip_interim_answers(connection: socket.socket, stopped: threading.Event) -> None:
    drip(connection, stopped, b"HTTP/1.1 102 Processing\r\n\r\n")


def say_nothing(connection: socket.socket, stopped: threading.Event) -> None:
    stopped.wait()


def drip_body(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 1000\r\n\r\n")
    drip(connection, stopped)


def stall_body(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 10\r\n\r\n")
    stopped.wait()


def never_end(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    end = time.monotonic() + 10 * DEADLINE_SECONDS
    while time.monotonic() < end and not stopped.is_set():
        connection.sendall(chunk)


def send_gigabyte(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 1000000000\r\n\r\n")
    piece = bytes(1_000_000)
    for _ in range(1000):
        connection.sendall(piece)


def promise_gigabyte(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 1000000000\r\n\r\n")
    stopped.wait()


def send_bomb(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)


def send_broken_gzip(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(OK + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!")


def break_body_off(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 1000\r\n\r\nx")
    reset(connection, stopped)


def reset(connection: socket.socket, stopped: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hang_up(connection: socket.socket, stopped: threading.Event) -> None:
    connection.close()


def send_endless_header(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(OK)
    while not stopped.is_set():
        connection.sendall(b"X-More: " + b"x" * 8000 + b"\r\n")


@pytest.mark.parametrize("answer", [drip_header, drip_interim_answers, say_nothing])
def test_an_attempt_without_an_answer_ends_at_its_deadline(answer: Conversation) -> None:
    outcome, seconds = attempt(answer)
    assert outcome == TryAgain(f"no answer within {DEADLINE_SECONDS} s")
    assert DEADLINE_SECONDS <= seconds < DEADLINE_SECONDS + LATE_SECONDS


def test_a_handshake_that_stalls_ends_at_the_deadline() -> None:
    outcome, seconds = attempt(None, scheme="https")
    assert outcome == TryAgain(f"no answer within {DEADLINE_SECONDS} s")
    assert DEADLINE_SECONDS <= seconds < DEADLINE_SECONDS + LATE_SECONDS


def test_a_handshake_that_stalls_leaves_no_connection_open() -> None:
    closed = threading.Event()

    def handshake(connection: socket.socket, stopped: threading.Event) -> None:
        while connection.recv(65536):
            pass
        closed.set()

    with (
        serving(handshake, reads_request=False) as server,
        sending(f"https://127.0.0.1:{server.port}/") as sender,
    ):
        assert sender.deliver(MESSAGE) == TryAgain(f"no answer within {DEADLINE_SECONDS} s")
        assert closed.wait(LATE_SECONDS)


def test_a_handshake_that_drips_ends_at_the_deadline() -> None:
    # The header of a TLS record of 16 KB, then its content byte by byte.
    def handshake(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")
        drip(connection, stopped)

    outcome, seconds = attempt(handshake, reads_request=False, scheme="https")
    assert isinstance(outcome, TryAgain)
    assert seconds < DEADLINE_SECONDS + LATE_SECONDS


@pytest.mark.parametrize("answer", [drip_body, stall_body])
def test_a_body_that_comes_slowly_does_not_change_what_the_status_says(answer: Conversation) -> None:
    outcome, seconds = attempt(answer)
    assert outcome == Delivered()
    assert seconds < DEADLINE_SECONDS + LATE_SECONDS


@pytest.mark.parametrize(
    "answer", [never_end, send_gigabyte, promise_gigabyte, send_bomb, send_broken_gzip, break_body_off]
)
def test_a_body_of_any_size_and_form_costs_little(answer: Conversation) -> None:
    tracemalloc.start()
    try:
        outcome, seconds = attempt(answer)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome == Delivered()
    assert seconds < DEADLINE_SECONDS + LATE_SECONDS
    assert most < MAX_MEMORY_BYTES


@pytest.mark.parametrize("answer", [reset, hang_up, send_endless_header])
def test_a_connection_that_breaks_is_tried_again(answer: Conversation) -> None:
    outcome, seconds = attempt(answer)
    assert isinstance(outcome, TryAgain)
    assert outcome.why.startswith("no answer: ")
    assert seconds < DEADLINE_SECONDS + LATE_SECONDS


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary", b"308 Permanent"])
def test_a_redirect_is_not_followed(status: bytes) -> None:
    def accept(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(OK + b"Content-Length: 0\r\n\r\n")

    with serving(accept) as elsewhere:

        def redirect(connection: socket.socket, stopped: threading.Event) -> None:
            location = b"http://127.0.0.1:%d/" % elsewhere.port
            connection.sendall(b"HTTP/1.1 %s\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, location))

        outcome, _ = attempt(redirect)
        assert isinstance(outcome, Rejected)
        assert "redirects are not followed" in outcome.why
        assert elsewhere.connections == 0


def test_the_answer_is_asked_for_without_encoding_and_a_short_one_keeps_the_connection() -> None:
    def accept(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(OK + b"Content-Length: 4096\r\n\r\n" + bytes(4096))

    with serving(accept) as server, sending(f"http://127.0.0.1:{server.port}/") as sender:
        assert [sender.deliver(MESSAGE) for _ in range(3)] == [Delivered()] * 3
    assert len(server.requests) == 3
    assert all(b"accept-encoding: identity\r\n" in request.lower() for request in server.requests)
    assert server.connections == 1


def test_the_reason_that_is_kept_is_short() -> None:
    def refuse(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 400 " + b"no" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n")

    outcome, _ = attempt(refuse)
    assert isinstance(outcome, Rejected)
    assert len(outcome.why) < 200


def test_attempts_that_ran_out_of_time_leave_room_for_those_that_follow() -> None:
    drips = threading.Event()
    drips.set()

    def answer(connection: socket.socket, stopped: threading.Event) -> None:
        if drips.is_set():
            drip_header(connection, stopped)
        connection.sendall(OK + b"Content-Length: 0\r\n\r\n")

    with (
        serving(answer) as server,
        sending(f"http://127.0.0.1:{server.port}/") as sender,
        ThreadPoolExecutor(4) as threads,
    ):
        for _ in range(2):
            began_at = time.monotonic()
            outcomes = list(threads.map(sender.deliver, [MESSAGE] * 4))
            assert outcomes == [TryAgain(f"no answer within {DEADLINE_SECONDS} s")] * 4
            assert time.monotonic() - began_at < DEADLINE_SECONDS + LATE_SECONDS
        drips.clear()
        assert list(threads.map(sender.deliver, [MESSAGE] * 20)) == [Delivered()] * 20


def test_a_sender_may_be_closed_twice() -> None:
    sender = WebhookSender("http://127.0.0.1:1/", SECRET)
    sender.close()
    sender.close()
