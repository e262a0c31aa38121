"""Queries are stopped when their micro-batch is done, all of them within one time limit; one that hangs is noticed."""

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cardwatch_detector.runtime.metrics import QueryMetrics
from cardwatch_detector.runtime.supervision import SupervisedQuery, Supervisor, require_no_data_loss, stop_all
from cardwatch_kafka.lost_offsets import LostOffsetsError
from cardwatch_service.metrics import Metrics
from cardwatch_service.shutdown import Shutdown
from py4j.protocol import Py4JError

STALL_SECONDS = 1.5


class Query:
    """A query that is busy for some seconds from now on, and then idle."""

    last_batch = ""

    def __init__(self, seconds: float) -> None:
        self.running = True
        self.interrupted = False
        self._done_at = time.monotonic() + seconds

    @property
    def idle(self) -> bool:
        return time.monotonic() >= self._done_at

    def stop_now(self) -> None:
        self.running, self.interrupted = False, not self.idle


def test_a_query_is_stopped_when_its_micro_batch_is_done() -> None:
    queries = [Query(0.0), Query(0.1)]
    stop_all(queries, 5.0)
    assert [query.running or query.interrupted for query in queries] == [False, False]


def test_a_query_that_never_pauses_is_stopped_in_its_next_micro_batch() -> None:
    class Busy(Query):
        idle = False  # type: ignore[assignment]  # whenever it is looked at

        @property
        def last_batch(self) -> str:  # type: ignore[override]
            return "the next" if time.monotonic() >= self._done_at else "one"

    busy = Busy(0.2)
    began = time.monotonic()
    stop_all([busy], 20.0)
    assert 0.2 <= time.monotonic() - began < 2.0
    assert not busy.running


def test_the_time_limit_is_for_all_queries_together() -> None:
    queries = [Query(60.0) for _ in range(9)]
    began = time.monotonic()
    stop_all(queries, 0.2)
    assert time.monotonic() - began < 2.0
    assert all(query.interrupted and not query.running for query in queries)


def test_micro_batches_over_the_limit_are_interrupted_at_once() -> None:
    class Slow(Query):
        def stop_now(self) -> None:
            time.sleep(0.5)
            super().stop_now()

    queries = [Slow(60.0) for _ in range(9)]
    began = time.monotonic()
    stop_all(queries, 0.0)
    assert time.monotonic() - began < 2.0
    assert not any(query.running for query in queries)


def test_a_query_that_has_ended_is_left_alone() -> None:
    ended = Query(60.0)
    ended.running = False
    stop_all([ended], 5.0)
    assert not ended.interrupted


def test_a_query_that_still_counts_as_running_after_its_stop_is_not_waited_for() -> None:
    class Gone(Query):
        def stop_now(self) -> None:
            self.interrupted = True

    gone = Gone(60.0)
    began = time.monotonic()
    stop_all([gone], 0.1)
    assert time.monotonic() - began < 2.0
    assert gone.interrupted


class FakeQuery:
    """A streaming query as far as the supervisor asks it."""

    def __init__(self) -> None:
        self.isActive = True
        self.trigger_active = True
        self.mark = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.polled = threading.Event()

    @property
    def status(self) -> dict[str, object]:
        self.may_answer.wait()
        return {"isTriggerActive": self.trigger_active}

    def stop(self) -> None:
        self.isActive = False

    @property
    def _jsq(self) -> Any:
        return SimpleNamespace(lastProgress=lambda: None, streamingQuery=self._streaming_query)

    def _streaming_query(self) -> Any:
        raise Py4JError("there is no JVM")


@pytest.fixture
def query() -> FakeQuery:
    return FakeQuery()


@pytest.fixture
def supervisor(query: FakeQuery) -> Iterator[Supervisor]:
    """A supervisor that runs one query."""
    shutdown = Shutdown()
    supervised = SupervisedQuery(
        start=lambda: query,  # type: ignore[arg-type,return-value]
        on_failure=lambda reason: None,
        while_running=query.polled.set,
        needs_restart=lambda: False,
        progress_mark=lambda query: query.mark,  # type: ignore[attr-defined]
    )
    supervisor = Supervisor(
        {"q": supervised}, QueryMetrics(Metrics(), {"q": []}), shutdown, stall_seconds=STALL_SECONDS
    )
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    yield supervisor
    query.trigger_active = False
    shutdown.request()
    thread.join()


def problems(supervisor: Supervisor, seconds: float, work: Callable[[], None] = lambda: None) -> set[str]:
    """What the supervisor reports within a time, while a query does its work."""
    found, deadline = set(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        work()
        found.add(supervisor.problem().split(" for ")[0])
        time.sleep(0.05)
    return found


def test_a_micro_batch_that_does_not_advance_is_a_problem(supervisor: Supervisor, query: FakeQuery) -> None:
    stalled = "the query q has not advanced in its micro-batch"
    assert problems(supervisor, 2.5 * STALL_SECONDS) == {"", stalled}
    assert supervisor.problem().startswith(stalled)
    query.mark += 1
    time.sleep(1.5)
    assert supervisor.problem() == ""


def test_a_micro_batch_whose_tasks_end_one_by_one_is_no_problem(supervisor: Supervisor, query: FakeQuery) -> None:
    def work() -> None:
        query.mark += 1

    assert problems(supervisor, 2.5 * STALL_SECONDS, work) == {""}


def test_a_query_is_asked_for_its_other_work_without_traffic_too(supervisor: Supervisor, query: FakeQuery) -> None:
    query.trigger_active = False
    for _ in range(2):
        assert query.polled.wait(5)
        query.polled.clear()


def test_a_query_with_nothing_to_do_is_no_problem(supervisor: Supervisor, query: FakeQuery) -> None:
    query.trigger_active = False
    assert problems(supervisor, 2.5 * STALL_SECONDS) == {""}


def test_a_query_that_fails_and_is_started_again_is_no_problem(supervisor: Supervisor, query: FakeQuery) -> None:
    def fail() -> None:
        query.isActive = False

    query.exception = lambda: None  # type: ignore[attr-defined]
    assert problems(supervisor, 2.5 * STALL_SECONDS, fail) == {""}


def test_a_supervision_that_hangs_is_a_problem(supervisor: Supervisor, query: FakeQuery) -> None:
    query.may_answer.clear()
    found = problems(supervisor, 2.5 * STALL_SECONDS)
    query.may_answer.set()
    assert "the supervision of the queries has given no sign of life" in found


# As Spark 4.1 prints it.
DATA_LOSS = """[STREAM_FAILED] Query [id = 1] terminated with exception: [KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED] \
Some data may have been lost because they are not available in Kafka any more;
either the data was aged out by Kafka or the topic may have been deleted before all the data in the
topic was processed.
If you don't want your streaming query to fail on such cases, set the source option failOnDataLoss to false.
Reason:
Partition raw-0 offset was changed from 60 to 7.
This could either be a user error. SQLSTATE: 22000
\tat org.apache.spark.sql.Some.apply(Some.scala:1)"""


def test_a_query_that_lost_messages_ends_the_service_with_what_to_do() -> None:
    with pytest.raises(LostOffsetsError) as raised:
        require_no_data_loss("silver.transactions", DATA_LOSS)
    assert str(raised.value).startswith(
        "the query silver.transactions lost messages: Partition raw-0 offset was changed from 60 to 7. This could "
        "either be a user error. Nothing after that is read"
    )
    assert "CARDWATCH_ON_LOST_OFFSETS=continue" in str(raised.value)
    require_no_data_loss("silver.transactions", "java.io.IOException: No space left on device")


def test_so_does_one_that_lost_them_inside_its_writer() -> None:
    failure = (
        "MicroBatchError: Caused by: org.apache.kafka.clients.consumer.OffsetOutOfRangeException: Fetch position "
        "FetchPosition{offset=8, offsetEpoch=Optional.empty, currentLeader=LeaderAndEpoch{leader=Optional[b:1 (id: 1 "
        "rack: null)], epoch=0}} is out of range for partition raw-0"
    )
    with pytest.raises(LostOffsetsError, match="lost messages: Partition raw-0 has no offset 8 any more"):
        require_no_data_loss("silver.transactions", failure)
