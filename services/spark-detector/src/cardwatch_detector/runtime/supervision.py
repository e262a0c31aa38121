"""Keeps streaming queries running: a query that fails is restarted from its checkpoint while the others go on."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from cardwatch_contracts.errors import CardwatchError, RegistryUnavailableError
from cardwatch_kafka.lost_offsets import LostOffsetsError
from cardwatch_service.logs import get_logger
from cardwatch_service.progress_watch import ProgressWatch
from cardwatch_service.retry_pauses import QUERY_RESTART
from cardwatch_service.shutdown import Shutdown
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.failures import REGISTRY_OUTAGE, describe_data_loss, innermost_cause
from cardwatch_detector.runtime.garbage_collection import periodic_garbage_collection
from cardwatch_detector.runtime.internals import committed_offsets, last_batch_timestamp
from cardwatch_detector.runtime.metrics import QueryMetrics

_log = get_logger(__name__)

_POLL_SECONDS: Final = 0.5
_MAX_FAILURES_IN_A_ROW: Final = 8
# A query that ran this long has recovered: its next failure is a first one.
_RECOVERED_AFTER_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 30.0


@dataclass(frozen=True)
class SupervisedQuery:
    """How a query is started and restarted.

    Attributes:
        start: starts it, or continues from its checkpoint.
        on_failure: called with the reason of a failure before the query is restarted.
        while_running: called several times a second while it runs, with and without traffic.
        needs_restart: whether the running query must be stopped and started again to go on as it should.
        progress_mark: a value that is another one after each piece of work of the query, done with or in a micro-batch.
    """

    start: Callable[[], StreamingQuery]
    on_failure: Callable[[str], None]
    while_running: Callable[[], None]
    needs_restart: Callable[[], bool]
    progress_mark: Callable[[StreamingQuery], object]


class Supervisor:
    """Runs queries until the process is asked to stop."""

    def __init__(
        self,
        queries: Mapping[str, SupervisedQuery],
        metrics: QueryMetrics,
        shutdown: Shutdown,
        *,
        stall_seconds: float,
    ) -> None:
        """``stall_seconds``: how long a query, or the supervision itself, may show no progress."""
        self._watch: Final = ProgressWatch("the supervision of the queries", stall_seconds)
        self._watched: Final = {
            name: _WatchedQuery(name, query, ProgressWatch(f"the query {name}", stall_seconds))
            for name, query in queries.items()
        }
        self._metrics = metrics
        self._shutdown = shutdown

    @property
    def all_running(self) -> bool:
        """Whether every query has been started and none is down."""
        return all(watched.running for watched in self._watched.values())

    def problem(self) -> str:
        """Why a restart would help, one sentence; empty where it would not."""
        watches = (self._watch, *(watched.watch for watched in self._watched.values()))
        return next((problem for watch in watches if (problem := watch.problem())), "")

    def run(self) -> None:
        """Start all queries and return when the stop was asked for and the running micro-batches are done.

        Raises:
            LostOffsetsError: messages were deleted before a query read them.
            CardwatchError: a query failed so often in a row that starting it again makes no sense.
        """
        with periodic_garbage_collection() as collect_garbage:
            try:
                while not self._shutdown.requested:
                    self._watch.report_alive()
                    for watched in self._watched.values():
                        if not self._shutdown.requested:  # a start takes a while
                            watched.poll(self._metrics)
                    collect_garbage()
                    self._shutdown.wait(_POLL_SECONDS)
            finally:
                self._watch.report_end()
                stop_all(list(self._watched.values()))


class Stoppable(Protocol):
    """A query that ``stop_all`` can stop."""

    @property
    def running(self) -> bool:
        """Whether there is something to stop."""

    @property
    def idle(self) -> bool:
        """Whether it is between two micro-batches."""

    @property
    def last_batch(self) -> str:
        """The last micro-batch that ended; empty before the first one does."""

    def stop_now(self) -> None:
        """Stop it, even in the middle of a micro-batch."""


def stop_all(queries: Sequence[Stoppable], seconds: float = _STOP_SECONDS) -> None:
    """Stop each query as soon as its running micro-batch ends.

    If micro-batches follow each other without a pause, the next one has already begun when the current one ends. It is
    interrupted, and
    repeated from the checkpoint later; waiting longer would only interrupt a later one.

    The limit of ``seconds`` is for all of them together: a process with a dozen queries must stop within a minute. A
    micro-batch that takes longer is interrupted too, those of all queries at once, since on a busy machine each takes
    seconds to end. A query that still counts as running after that is not waited for: its thread may have ended without
    Spark noticing.
    """
    deadline = time.monotonic() + seconds
    asked = [(query, query.last_batch) for query in queries if query.running]
    while running := [(query, before) for query, before in asked if query.running]:
        if time.monotonic() >= deadline:
            with ThreadPoolExecutor(len(running), "stop") as threads:
                for stopped in [threads.submit(query.stop_now) for query, _ in running]:
                    stopped.result()
            return
        for query, before in running:
            if query.idle or query.last_batch != before:
                query.stop_now()
        time.sleep(0.02)


class _WatchedQuery:
    """A running query that is restarted after failures, with growing pauses."""

    def __init__(self, name: str, supervised: SupervisedQuery, watch: ProgressWatch) -> None:
        self.watch: Final = watch
        self._name = name
        self._supervised = supervised
        self._report_at = 0.0
        self._query: StreamingQuery | None = None
        self._started_at = 0.0
        self._failures = 0
        self._failures_of_its_own = 0
        self._retry_at = 0.0

    @property
    def running(self) -> bool:
        return self._query is not None and bool(self._query.isActive)

    def poll(self, metrics: QueryMetrics) -> None:
        self._report_progress()
        if self._query is None:
            if time.monotonic() >= self._retry_at:
                self._start(metrics)
        elif self._query.isActive:
            metrics.set_position(self._name, committed_offsets(self._query))
            self._supervised.while_running()
            if self._supervised.needs_restart():
                _log.info("restarting the query: it skips messages that may be decodable now", query=self._name)
                stop_all([self])
                self._start(metrics)
        else:
            reason = _reason(self._query)
            require_no_data_loss(self._name, str(self._query.exception() or ""))
            self._query = None
            self._failed(metrics, reason)
            with suppress(RegistryUnavailableError):  # the next start asks the registry too, and says so
                self._supervised.on_failure(reason)

    def _report_progress(self) -> None:
        """A query that is down is started again, and one between two micro-batches has nothing to do."""
        now = time.monotonic()
        if now < self._report_at:
            return
        self._report_at = now + self.watch.interval_seconds
        if self._query is None or self.idle:
            self.watch.report_alive()
        else:
            self.watch.report_work({"its micro-batch": self._supervised.progress_mark(self._query)})

    def _start(self, metrics: QueryMetrics) -> None:
        self._started_at = time.monotonic()
        try:
            self._query = self._supervised.start()
        except RegistryUnavailableError as error:
            self._failed(metrics, f"{REGISTRY_OUTAGE}: {error}")
        else:
            _log.info("query started", query=self._name)

    @property
    def idle(self) -> bool:
        return self._query is None or not self._query.status["isTriggerActive"]

    @property
    def last_batch(self) -> str:
        return "" if self._query is None else last_batch_timestamp(self._query)

    def stop_now(self) -> None:
        if self._query is not None:
            interrupted = not self.idle
            self._query.stop()
            _log.info("query stopped", query=self._name, micro_batch_interrupted=interrupted)

    def _failed(self, metrics: QueryMetrics, reason: str) -> None:
        if time.monotonic() - self._started_at > _RECOVERED_AFTER_SECONDS:
            self._failures = self._failures_of_its_own = 0
        self._failures += 1
        # While the registry is down, ending the process would help nobody.
        self._failures_of_its_own += REGISTRY_OUTAGE not in reason
        metrics.restarts.labels(self._name).inc()
        metrics.common.errors.labels("query_failed").inc()
        if self._failures_of_its_own >= _MAX_FAILURES_IN_A_ROW:
            raise CardwatchError(
                f"the query {self._name} failed {self._failures_of_its_own} times in a row; the last failure: {reason}"
            )
        pause = QUERY_RESTART.seconds(self._failures)
        self._retry_at = time.monotonic() + pause
        _log.error("query failed, it is restarted from its checkpoint", query=self._name, reason=reason, pause_s=pause)


def require_no_data_loss(query: str, failure: str) -> None:
    """Check that a query has not failed because messages were deleted before it read them: no restart helps there.

    Raises:
        LostOffsetsError: it has.
    """
    loss = describe_data_loss(failure)
    if loss is not None:
        raise LostOffsetsError(
            f"the query {query} lost messages: {loss} Nothing after that is read until somebody decides: restore the "
            "messages, or set CARDWATCH_ON_LOST_OFFSETS=continue to go on with the first message that is there"
        )


def _reason(query: StreamingQuery) -> str:
    error = query.exception()
    if error is None:
        return "it ended without an error"
    return innermost_cause(str(error))
