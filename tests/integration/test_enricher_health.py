"""The enricher's liveness on the real broker: it fails where work is left and does not advance, and only there."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from cardwatch_contracts.topics import TRANSACTIONS_RAW
from cardwatch_enricher.internals import FaustApplication, Fetching
from cardwatch_enricher.settings import EnricherSettings
from cardwatch_enricher.stream.application import StreamApplication
from cardwatch_enricher.stream.faust_settings import faust_options
from cardwatch_enricher.stream.restarts import Readiness, run_until_stopped
from cardwatch_kafka.lost_offsets import LostOffsets
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_service.metrics import Metrics
from cardwatch_service.progress_watch import ProgressWatch
from cardwatch_service.settings import ServiceSettings
from cardwatch_service.shutdown import Shutdown
from support.kafka import KafkaTopics
from support.platforms import Platform
from support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults]

_LIMIT_SECONDS: Final = 4.0
# With a limit that exceeds the client's timeout for a request, as the settings' own defaults do.
_REQUEST_SECONDS: Final = 7.0
_OUTAGE_LIMIT_SECONDS: Final = 15.0
_WAIT_SECONDS: Final = 60.0


class Stream:
    """The enricher's stream in this process.

    Attributes:
        topic: what it reads.
        may_process: cleared, its processing hangs.
        processed: the values of all messages that were processed.
    """

    def __init__(self, service: ServiceSettings, topic: str, directory: Path, limit_seconds: float) -> None:
        self.may_process: Final = threading.Event()
        self.may_process.set()
        self.processed: Final[list[bytes | None]] = []
        self.metrics: Final = Metrics()
        self.watch: Final = ProgressWatch("the consumer", limit_seconds)
        self.readiness: Final = Readiness()
        self._shutdown: Final = Shutdown()
        self._settings: Final = EnricherSettings(stop_grace_seconds=0)
        self._options: Final = {
            **faust_options(service, self._settings, directory),
            "broker_request_timeout": _REQUEST_SECONDS,
        }
        self._group: Final = service.consumer_group("health")
        self.topic: Final = topic
        self._thread: Final = threading.Thread(target=lambda: asyncio.run(self._run()))

    @contextmanager
    def running(self) -> Iterator["Stream"]:
        """Runs in this context."""
        self._thread.start()
        try:
            wait_until(lambda: not self.readiness.not_ready(), "partitions", seconds=_WAIT_SECONDS)
            yield self
        finally:
            self.may_process.set()
            self._shutdown.request()
            self._thread.join(_WAIT_SECONDS)
            assert not self._thread.is_alive()

    def cancel_fetching(self) -> None:
        """End the client's routine that fetches messages, as an error in it would."""
        application = self.readiness.application
        assert application is not None
        thread: Any = application._app.consumer_thread
        thread.thread_loop.call_soon_threadsafe(thread._consumer._fetcher._fetch_task.cancel)

    def problems(self, seconds: float) -> set[str]:
        """The different problems that its health shows within a time, without their numbers."""
        found, deadline = set(), time.monotonic() + seconds
        while time.monotonic() < deadline:
            found.add(self.watch.problem().partition(" for ")[0])
            time.sleep(0.1)
        return found

    async def _run(self) -> None:
        await run_until_stopped(self._application, self._shutdown, self.readiness, self.metrics)

    def _application(self) -> StreamApplication:
        return StreamApplication(self._faust, self._settings, [self.topic], self._process, self.metrics, self.watch)

    def _faust(self, fetching: Fetching) -> FaustApplication:
        lost_offsets = LostOffsets("stop", self.metrics)
        return FaustApplication(self._group, fetching=fetching, lost_offsets=lost_offsets, **self._options)

    def _process(self, messages: Sequence[ReceivedMessage]) -> None:
        self.may_process.wait()
        self.processed += [message.value for message in messages]


@pytest.fixture
def topics(platform: Platform, topic_prefix: str) -> KafkaTopics:
    return KafkaTopics(platform, topic_prefix)


@pytest.fixture
def stream(platform: Platform, topics: KafkaTopics, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stream]:
    """A stream; a test may give its limit."""
    service = ServiceSettings(kafka_bootstrap_servers=platform.bootstrap_servers, topic_prefix=topics.prefix)
    limit_seconds = getattr(request, "param", _LIMIT_SECONDS)
    with Stream(service, TRANSACTIONS_RAW.name(topics.prefix), tmp_path, limit_seconds).running() as stream:
        yield stream


@pytest.fixture
def send(topics: KafkaTopics) -> Callable[[bytes], None]:
    def send(value: bytes) -> None:
        topics.send(TRANSACTIONS_RAW, value)
        topics.flush()

    return send


def wait_for(stream: Stream, value: bytes) -> None:
    wait_until(lambda: value in stream.processed, repr(value), seconds=_WAIT_SECONDS)


def test_only_work_that_does_not_advance_makes_it_unhealthy(stream: Stream, send: Callable[[bytes], None]) -> None:
    send(b"first")
    wait_for(stream, b"first")
    assert stream.problems(_LIMIT_SECONDS + 3) == {""}  # idle

    stream.may_process.clear()
    send(b"hangs")
    (partition,) = {problem for problem in stream.problems(_LIMIT_SECONDS + 5) if problem}
    assert partition.startswith(f"the consumer has not advanced in {stream.topic}-")

    stream.may_process.set()
    wait_until(lambda: not stream.watch.problem(), "health", seconds=_WAIT_SECONDS)


def test_a_consumer_that_fetches_no_more_is_replaced(stream: Stream, send: Callable[[bytes], None]) -> None:
    send(b"before")
    wait_for(stream, b"before")
    stream.cancel_fetching()
    send(b"behind")
    wait_for(stream, b"behind")
    assert stream.metrics.registry.get_sample_value("cardwatch_errors_total", {"kind": "consumer_restarted"}) == 1


@pytest.mark.parametrize("stream", [_OUTAGE_LIMIT_SECONDS], indirect=True)
def test_a_broker_that_is_away_is_no_reason_for_a_restart(
    stream: Stream, send: Callable[[bytes], None], platform: Platform
) -> None:
    send(b"before")
    wait_for(stream, b"before")
    platform.pause_broker()
    try:
        assert stream.problems(2 * _OUTAGE_LIMIT_SECONDS) == {""}
    finally:
        platform.resume_broker()
    send(b"behind")
    wait_for(stream, b"behind")
