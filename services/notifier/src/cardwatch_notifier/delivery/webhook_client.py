"""Posts to a webhook within limits of time and memory, whatever its receiver does.

A timeout per socket operation does not end an attempt whose answer drips in: each byte begins a new one. Attempts run
on an event loop of their own, because only there one deadline covers everything: the name's resolution, connecting, the
TLS handshake, sending, headers and body.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx

# The status decides; the body is read only so that the connection can be used again.
MAX_BODY_BYTES: Final = 4096
_BODY_SECONDS: Final = 1.0
_MAX_REASON_CHARACTERS: Final = 100
# Longer than a receiver usually keeps an idle connection, so that an alert seldom waits for a handshake.
_KEEP_ALIVE_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 5.0

Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Told what httpcore does for a request, step by step."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What counts of a receiver's answer.

    Attributes:
        reason: the reason phrase, cut to 100 characters; may be empty.
        retry_after: the header as it came, or None.
    """

    status: int
    reason: str
    retry_after: str | None


@dataclass(frozen=True, slots=True)
class Network:
    """How the client reaches receivers.

    Attributes:
        tls: which servers it trusts; None for those that the system's authorities have signed.
        transport: replaces the network in tests.
    """

    tls: ssl.SSLContext | None = None
    transport: httpx.AsyncBaseTransport | None = None


DEFAULT_NETWORK: Final = Network()


class WebhookClient:
    """Keeps up to ``concurrency`` connections; ``post`` may be called from as many threads at once."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        concurrency: int,
        user_agent: str,
        network: Network = DEFAULT_NETWORK,
    ) -> None:
        self._timeout_seconds: Final = timeout_seconds
        self._client: Final = httpx.AsyncClient(
            timeout=None,  # noqa: S113 - the deadline of ``post`` covers every operation
            # The signature is for this receiver alone, not for whoever it names.
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=concurrency,
                max_keepalive_connections=concurrency,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
            ),
            transport=network.transport,
            verify=network.tls or True,
            # A receiver on this machine is never behind the proxy that the environment may name.
            mounts={} if network.transport else {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None},
            headers={"user-agent": user_agent, "accept-encoding": "identity"},
        )
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = threading.Thread(target=self._loop.run_forever, name="webhook-client", daemon=True)
        self._thread.start()

    def post(self, url: str, *, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Post once; an answer is complete with its headers.

        Raises:
            TimeoutError: there was no answer within the client's ``timeout_seconds``.
            httpx.HTTPError: there was no answer.
        """
        deadline = time.monotonic() + self._timeout_seconds
        return asyncio.run_coroutine_threadsafe(self._post(url, content, headers, deadline), self._loop).result()

    def close(self) -> None:
        """Close the connections and end the thread."""
        if self._loop.is_closed():
            return
        with suppress(FutureTimeoutError):
            asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result(_CLOSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _post(self, url: str, content: bytes, headers: Mapping[str, str], deadline: float) -> Answer:
        answer: Answer | None = None
        try:
            # The loop's clock is time.monotonic.
            async with (
                asyncio.timeout_at(deadline),
                _closing_on_failure() as trace,
                self._client.stream(
                    "POST", url, content=content, headers=headers, extensions={"trace": trace}
                ) as response,
            ):
                reason = response.reason_phrase[:_MAX_REASON_CHARACTERS]
                answer = Answer(response.status_code, reason, response.headers.get("retry-after"))
                async with asyncio.timeout(_BODY_SECONDS):
                    await _skip_body(response)
        except (TimeoutError, httpx.HTTPError):
            # A body that does not end, or breaks off, costs the connection but does not change the answer.
            if answer is None:
                raise
        return answer


def certificate_problem(error: BaseException | None) -> str:
    """Why OpenSSL did not trust a server's certificate, if that is what an error came from; else empty."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return ""


@asynccontextmanager
async def _closing_on_failure() -> AsyncIterator[Trace]:
    """Close the connection that a request opens unless the request succeeds.

    httpcore leaves it open where a TLS handshake is cancelled. The value is the request's ``trace`` extension.
    """
    opened: list[Any] = []

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            opened.append(info["return_value"])

    try:
        yield trace
    except BaseException:
        for stream in opened:
            with suppress(Exception):
                await stream.aclose()
        raise


async def _skip_body(response: httpx.Response) -> None:
    """Read a short body to its end, without decoding it; leave a longer one."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    size = 0
    async for chunk in response.stream:
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return
