"""Queries are stopped when their micro-batch is done, all of them within one time limit."""

import time

from cardwatch_detector.runtime.supervision import stop_all


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
