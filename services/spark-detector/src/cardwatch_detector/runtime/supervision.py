"""Keeps streaming queries running: a query that fails starts again from its checkpoint, the others go on."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from cardwatch_contracts.errors import CardwatchError, RegistryUnavailableError
from cardwatch_service.logs import get
from cardwatch_service.shutdown import Shutdown
from py4j.protocol import Py4JError
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.failures import innermost_cause
from cardwatch_detector.runtime.garbage_collection import periodic_garbage_collection
from cardwatch_detector.runtime.progress import Offsets, QueryMetrics, offsets_of

_log = get(__name__)

_POLL_SECONDS: Final = 0.5
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
_FAILURES_IN_A_ROW: Final = 8
# A query that ran this long has recovered: its next failure is a first one.
_RECOVERED_AFTER_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Starter:
    """How a query is started.

    Attributes:
        start: start it, or go on from its checkpoint.
        failed: told why it failed, before it is started again.
        outdated: whether it has to be stopped and started again to go on as it should.
    """

    start: Callable[[], StreamingQuery]
    failed: Callable[[str], None] = lambda reason: None
    outdated: Callable[[], bool] = lambda: False


class Supervisor:
    """Runs queries until the process is asked to stop."""

    def __init__(self, starters: Mapping[str, Starter], metrics: QueryMetrics, shutdown: Shutdown) -> None:
        self._watched: Final = {name: _Watched(name, starter) for name, starter in starters.items()}
        self._metrics = metrics
        self._shutdown = shutdown

    @property
    def all_running(self) -> bool:
        """Whether every query has been started and none is down."""
        return all(watched.running for watched in self._watched.values())

    def run(self) -> None:
        """Start all queries and return when the stop was asked for and the running micro-batches are done.

        Raises:
            CardwatchError: a query failed so often in a row that starting it again makes no sense.
        """
        with periodic_garbage_collection() as collect_garbage:
            try:
                while not self._shutdown.requested:
                    for watched in self._watched.values():
                        if not self._shutdown.requested:  # a start takes a while
                            watched.keep_going(self._metrics)
                    collect_garbage()
                    self._shutdown.wait(_POLL_SECONDS)
            finally:
                stop_all(list(self._watched.values()))


class Stoppable(Protocol):
    """A query, to ``stop_all``."""

    @property
    def running(self) -> bool:
        """Whether there is something to stop."""

    @property
    def idle(self) -> bool:
        """Whether it is between two micro-batches."""

    @property
    def ended(self) -> str:
        """Which micro-batch was the last to end; empty before the first."""

    def stop_now(self) -> None:
        """Stop it, whatever it is doing."""


def stop_all(queries: Sequence[Stoppable], seconds: float = _STOP_SECONDS) -> None:
    """Stop each query as soon as its running micro-batch ends.

    Where one micro-batch follows the other without a pause, the next one has just begun by then. It is broken off, and
    done again from the checkpoint; to wait on would only break off a later one.

    All of them together get ``seconds``, not each: who asks a process with a dozen queries to stop waits for a minute
    or less. A micro-batch that takes longer is broken off too. A query that passes for running even then is not waited
    for: its thread may be gone without Spark's noticing.
    """
    deadline = time.monotonic() + seconds
    asked = [(query, query.ended) for query in queries if query.running]
    while going := [(query, ended) for query, ended in asked if query.running]:
        late = time.monotonic() >= deadline
        for query, ended in going:
            if late or query.idle or query.ended != ended:
                query.stop_now()
        if late:
            return
        time.sleep(0.02)


class _Watched:
    """One query, started again with growing pauses."""

    def __init__(self, name: str, starter: Starter) -> None:
        self._name = name
        self._starter = starter
        self._query: StreamingQuery | None = None
        self._started_at = 0.0
        self._failures = 0
        self._retry_at = 0.0

    @property
    def running(self) -> bool:
        return self._query is not None and bool(self._query.isActive)

    def keep_going(self, metrics: QueryMetrics) -> None:
        if self._query is None:
            if time.monotonic() >= self._retry_at:
                self._begin(metrics)
        elif self._query.isActive:
            metrics.set_position(self._name, committed_offsets(self._query))
            if self._starter.outdated():
                _log.info("query starts again with a plan that has room for new rules", query=self._name)
                stop_all([self])
                self._begin(metrics)
        else:
            reason = _reason(self._query)
            self._query = None
            self._failed(metrics, reason)
            with suppress(RegistryUnavailableError):  # the next start asks the registry too, and says so
                self._starter.failed(reason)

    def _begin(self, metrics: QueryMetrics) -> None:
        self._started_at = time.monotonic()
        try:
            self._query = self._starter.start()
        except RegistryUnavailableError as error:
            self._failed(metrics, str(error))
        else:
            _log.info("query started", query=self._name)

    @property
    def idle(self) -> bool:
        return self._query is None or not self._query.status["isTriggerActive"]

    @property
    def ended(self) -> str:
        # Of Java's object: Python's ``lastProgress`` has all of it made into JSON; this is asked many times a second.
        last = None if self._query is None else self._query._jsq.lastProgress()
        return "" if last is None else str(last.timestamp())

    def stop_now(self) -> None:
        if self._query is not None:
            broken_off = not self.idle
            self._query.stop()
            _log.info("query stopped", query=self._name, micro_batch_broken_off=broken_off)

    def _failed(self, metrics: QueryMetrics, reason: str) -> None:
        if time.monotonic() - self._started_at > _RECOVERED_AFTER_SECONDS:
            self._failures = 0
        self._failures += 1
        metrics.restarts.labels(self._name).inc()
        metrics.common.errors.labels("query_failed").inc()
        if self._failures >= _FAILURES_IN_A_ROW:
            raise CardwatchError(
                f"the query {self._name} failed {self._failures} times in a row, last because: {reason}"
            )
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1), _LONGEST_PAUSE_SECONDS)
        self._retry_at = time.monotonic() + pause
        _log.error("query failed, starting again from its checkpoint", query=self._name, reason=reason, pause_s=pause)


def committed_offsets(query: StreamingQuery) -> Offsets:
    """The Kafka offsets up to which a query has committed: also when it is idle, or has just started again.

    Spark reports offsets with the progress of micro-batches only; the query itself always knows them.
    """
    try:
        return offsets_of(query._jsq.streamingQuery().committedOffsets())
    except Py4JError:  # the query ended in the meantime
        return {}


def _reason(query: StreamingQuery) -> str:
    error = query.exception()
    if error is None:
        return "it ended without an error"
    return innermost_cause(str(error))
