"""What counts as progress, and when its absence is a problem."""

import pytest
from cardwatch_service.progress_watch import ProgressWatch

LIMIT_SECONDS = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> ProgressWatch:
    return ProgressWatch("the consumer", LIMIT_SECONDS, clock)


def report(watch: ProgressWatch, clock: Clock, position: int, end: int, *, seconds: float) -> None:
    """The same report every second for a while."""
    for _ in range(round(seconds)):
        clock.now += 1
        watch.report_work({"raw-0": position} if position < end else {})


def test_a_worker_that_has_not_started_is_no_problem(watch: ProgressWatch, clock: Clock) -> None:
    clock.now += 10 * LIMIT_SECONDS
    assert watch.problem() == ""


def test_no_work_is_no_problem(watch: ProgressWatch, clock: Clock) -> None:
    report(watch, clock, 7, 7, seconds=10 * LIMIT_SECONDS)
    assert watch.problem() == ""


def test_work_that_does_not_advance_is_a_problem_after_the_limit(watch: ProgressWatch, clock: Clock) -> None:
    report(watch, clock, 7, 8, seconds=LIMIT_SECONDS)
    assert watch.problem() == ""
    report(watch, clock, 7, 9, seconds=2)
    assert watch.problem() == (
        "the consumer has not advanced in raw-0 for 61 s although there is more; expected progress within 60 s"
    )
    report(watch, clock, 8, 9, seconds=1)
    assert watch.problem() == ""


def test_slow_work_is_no_problem(watch: ProgressWatch, clock: Clock) -> None:
    for position in range(20):
        report(watch, clock, position, 1000, seconds=LIMIT_SECONDS - 1)
        assert watch.problem() == ""


def test_one_partition_that_advances_does_not_hide_another_one(watch: ProgressWatch, clock: Clock) -> None:
    for position in range(100):
        clock.now += 1
        watch.report_work({"a": position, "b": 3})
    assert "not advanced in b" in watch.problem()


def test_a_partition_that_was_idle_for_long_has_the_whole_limit(watch: ProgressWatch, clock: Clock) -> None:
    report(watch, clock, 7, 7, seconds=5 * LIMIT_SECONDS)
    report(watch, clock, 7, 8, seconds=LIMIT_SECONDS)
    assert watch.problem() == ""


def test_a_partition_that_was_taken_away_is_no_problem(watch: ProgressWatch, clock: Clock) -> None:
    report(watch, clock, 7, 8, seconds=LIMIT_SECONDS + 2)
    watch.report_work({})
    assert watch.problem() == ""


def test_attempts_to_reach_a_dependency_are_signs_of_life(watch: ProgressWatch, clock: Clock) -> None:
    report(watch, clock, 7, 8, seconds=LIMIT_SECONDS - 10)
    for _ in range(20):
        clock.now += LIMIT_SECONDS - 10
        watch.report_alive()
        assert watch.problem() == ""
    report(watch, clock, 7, 8, seconds=LIMIT_SECONDS + 2)
    assert "not advanced" in watch.problem()


def test_silence_is_a_problem_even_if_no_work_was_left(watch: ProgressWatch, clock: Clock) -> None:
    report(watch, clock, 7, 7, seconds=5)
    clock.now += LIMIT_SECONDS
    assert watch.problem() == ""
    clock.now += 1
    assert watch.problem() == ("the consumer has given no sign of life for 61 s; expected one within 60 s")


def test_a_worker_that_ended_is_no_problem(watch: ProgressWatch, clock: Clock) -> None:
    report(watch, clock, 7, 8, seconds=5)
    watch.report_end()
    clock.now += 10 * LIMIT_SECONDS
    assert watch.problem() == ""


@pytest.mark.parametrize(("limit_seconds", "interval_seconds"), [(6.0, 1.0), (600.0, 10.0)])
def test_reports_come_several_times_within_the_limit(limit_seconds: float, interval_seconds: float) -> None:
    assert ProgressWatch("x", limit_seconds).interval_seconds == interval_seconds
