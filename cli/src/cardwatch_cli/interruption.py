"""Ctrl-C, SIGTERM and SIGHUP end a command at any moment: every clean-up runs, and no error is reported."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import Final, TypeVar

import typer

_Result = TypeVar("_Result")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_SECONDS: Final = 0.1
_SIGNAL_EXIT_CODE_BASE: Final = 128  # shells report 128 plus the number of the signal that ended a process


class Interruption:
    """Whether a signal has asked the command to end; ``number`` is the signal's."""

    def __init__(self) -> None:
        self.number: int | None = None

    def check(self) -> None:
        """Raise KeyboardInterrupt if the signal has come. For loops: one that is raised in C code may be lost."""
        if self.number is not None:
            raise KeyboardInterrupt

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The handler of the signal."""
        self.number = number
        raise KeyboardInterrupt


@contextmanager
def ends_by_signal() -> Iterator[Interruption]:
    """Inside the ``with`` block, each of the signals raises KeyboardInterrupt; the exit code is 128 plus its number.

    That holds for any exception after the signal: a KeyboardInterrupt in C code comes out as that code's own error,
    such as SystemError ("returned a result with an exception set") from Kafka's client. A signal that was ignored
    before, as by nohup, stays ignored. The handlers are restored at the end.

    Raises:
        typer.Exit: a signal has ended the body.
    """
    interruption = Interruption()
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, interruption.handle) for number in handled}
    try:
        yield interruption
    except BaseException as error:
        if interruption.number is None:
            raise
        typer.echo("stopped", err=True)
        raise typer.Exit(_SIGNAL_EXIT_CODE_BASE + interruption.number) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def interruptible(
    work: Callable[[], _Result], interrupt: Callable[[], object], limit_seconds: float | None = None
) -> _Result:
    """The result of work in C code, such as DuckDB's, that would not react to signals until it is done.

    Args:
        work: runs in a thread of its own, so that this one can handle a signal.
        interrupt: cancels the current step of the work; called until the work has ended, as it may begin another step.
        limit_seconds: cancel the work after this time.

    Raises:
        TimeoutError: the work did not end within the time.
    """
    deadline = None if limit_seconds is None else time.monotonic() + limit_seconds
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            # Not one wait until the end: where Polars is loaded, Ctrl-C does not wake a thread that waits for another.
            while not working.done():
                wait([working], _POLL_SECONDS)
                if deadline is not None and time.monotonic() > deadline and not working.done():
                    raise TimeoutError(f"not done within {limit_seconds} seconds")
        finally:
            while not working.done():
                interrupt()
                wait([working], _POLL_SECONDS)
    return working.result()
