"""Calls that fail for a reason that passes are repeated until they succeed or a stop is requested."""

import time

import pytest
from cardwatch_service.retry import Deadline, StoppedError, retry_until_stopped
from cardwatch_service.shutdown import Shutdown


class Stop:
    """A stop that is requested after a number of pauses, and does not sleep."""

    def __init__(self, pauses: int) -> None:
        self.left = pauses
        self.paused: list[float] = []

    @property
    def requested(self) -> bool:
        return self.left <= 0

    def wait(self, seconds: float) -> bool:
        self.left -= 1
        self.paused.append(seconds)
        return self.requested


def fail_times(number: int, error: Exception) -> "list[str | Exception]":
    return [*[error] * number, "done"]


def call(outcomes: "list[str | Exception]") -> str:
    outcome = outcomes.pop(0)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def test_a_call_is_repeated_until_it_succeeds() -> None:
    outcomes = fail_times(8, ConnectionError("away"))
    stop = Stop(100)
    failures: list[tuple[str, int]] = []
    result = retry_until_stopped(
        lambda: call(outcomes),
        errors=(ConnectionError,),
        stop=stop,
        before_pause=lambda error, attempts: failures.append((str(error), attempts)),
    )
    assert result == "done"
    assert failures == [("away", number) for number in range(1, 9)]
    assert all(
        low <= pause <= low + 0.2 or pause == 5.0
        for low, pause in zip((0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5), stop.paused, strict=True)
    )
    assert max(stop.paused) <= 5.0


def test_other_errors_are_raised_at_once() -> None:
    outcomes = fail_times(1, ValueError("defect"))
    with pytest.raises(ValueError, match="defect"):
        retry_until_stopped(lambda: call(outcomes), errors=(ConnectionError,), stop=Stop(100))


def test_a_stop_ends_the_retries_and_names_the_last_failure() -> None:
    outcomes = fail_times(9, ConnectionError("away"))
    with pytest.raises(StoppedError) as stopped:
        retry_until_stopped(lambda: call(outcomes), errors=(ConnectionError,), stop=Stop(2))
    assert str(stopped.value.__cause__) == "away"
    assert len(outcomes) == 10 - 3


def test_a_call_is_made_once_although_the_stop_was_requested_before() -> None:
    shutdown = Shutdown()
    shutdown.request()
    assert retry_until_stopped(lambda: "done", errors=(ConnectionError,), stop=shutdown) == "done"


def test_a_deadline_ends_the_retries() -> None:
    began = time.monotonic()
    with pytest.raises(StoppedError):
        retry_until_stopped(lambda: call([ConnectionError("away")]), errors=(ConnectionError,), stop=Deadline(0.1))
    assert 0.1 <= time.monotonic() - began < 2
