"""Ctrl-C, SIGTERM and SIGHUP end a command at any moment, through every clean-up, and never pass for a failure."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import Final, TypeVar

import typer

_Result = TypeVar("_Result")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS: Final = 0.1
_SIGNAL_BASE: Final = 128  # what a shell says of a process that a signal ended: 128 and its number


class Interruption:
    """Whether a signal has asked the command to end."""

    def __init__(self) -> None:
        self.number: int | None = None

    def check(self) -> None:
        """Raise KeyboardInterrupt if the signal has come: for loops, as one that meets C code may get lost there."""
        if self.number is not None:
            raise KeyboardInterrupt

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The handler of the signal."""
        self.number = number
        raise KeyboardInterrupt


@contextmanager
def ends_by_signal() -> Iterator[Interruption]:
    """Within it each of the signals raises KeyboardInterrupt, and the command ends with 128 and the signal's number.

    So it does whatever comes out after the signal: KeyboardInterrupt that meets C code comes out as that code's own
    error, such as SystemError ("returned a result with an exception set") from Kafka's client. A signal that was
    ignored before, as by nohup, still is. After it, all have the handlers that they had.

    Raises:
        typer.Exit: a signal has ended what was within.
    """
    interruption = Interruption()
    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interruption.handle) for number in heeded}
    try:
        yield interruption
    except BaseException as error:
        if interruption.number is None:
            raise
        typer.echo("stopped", err=True)
        raise typer.Exit(_SIGNAL_BASE + interruption.number) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interruptible(work: Callable[[], _Result], interrupt: Callable[[], object]) -> _Result:
    """The result of work in C code that by itself would not look at signals until it is done, as most of DuckDB's.

    Args:
        work: is done in a thread of its own, so that this one can take a signal.
        interrupt: ends at once what the work has begun; called until the work has ended, as it may go on to the next.
    """
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            # Not one wait until the end: where Polars is loaded, Ctrl-C does not wake a thread that waits for another.
            while not working.done():
                wait([working], _LOOK_SECONDS)
        finally:
            while not working.done():
                interrupt()
                wait([working], _LOOK_SECONDS)
    return working.result()
