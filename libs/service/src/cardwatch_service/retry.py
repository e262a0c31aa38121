"""Repeats calls that fail for a transient reason, until they succeed or the service is asked to stop."""

import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from cardwatch_service import retry_pauses

T = TypeVar("T")


class StoppedError(Exception):
    """A stop was requested before a call succeeded. Its cause is the last failure."""


class Stop(Protocol):
    """Says when to give up; ``Shutdown`` and ``Deadline`` are implementations."""

    @property
    def requested(self) -> bool:
        """Whether to give up."""

    def wait(self, seconds: float) -> bool:
        """Sleep, but wake as soon as the stop is requested; returns ``requested``."""


class Deadline:
    """A stop that counts as requested a number of seconds after this object was created."""

    def __init__(self, seconds: float) -> None:
        self._at: Final = time.monotonic() + seconds

    @property
    def requested(self) -> bool:
        return time.monotonic() >= self._at

    def wait(self, seconds: float) -> bool:
        time.sleep(max(0.0, min(seconds, self._at - time.monotonic())))
        return self.requested


def retry_until_stopped(
    call: Callable[[], T],
    *,
    errors: tuple[type[Exception], ...],
    stop: Stop,
    before_pause: Callable[[BaseException, int], None] = lambda error, attempts: None,
) -> T:
    """Call until it succeeds: at least once, with pauses that grow from 0.2 to 5 seconds, and some jitter.

    Args:
        errors: the exceptions after which the call is repeated; all others are raised.
        before_pause: called with each failure and the number of attempts so far.

    Raises:
        StoppedError: the last attempt failed and the stop was requested.
    """

    def report(state: RetryCallState) -> None:
        before_pause(_failure(state), state.attempt_number)

    def give_up(state: RetryCallState) -> T:
        raise StoppedError from _failure(state)

    def pause(seconds: float) -> None:
        stop.wait(seconds)

    retrying = Retrying(
        retry=retry_if_exception_type(errors),
        wait=retry_pauses.DEPENDENCY,
        stop=lambda _: stop.requested,
        sleep=pause,
        before_sleep=report,
        retry_error_callback=give_up,
    )
    return retrying(call)


def _failure(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome is not None else None
    assert error is not None, "called only after a failed attempt"
    return error
