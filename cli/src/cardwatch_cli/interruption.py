"""Ctrl-C and SIGTERM end a command at any moment, through every clean-up, and never pass for a failure."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import typer

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
    """Within it SIGINT and SIGTERM raise KeyboardInterrupt, and the command ends with 128 and the signal's number.

    So it does whatever comes out after the signal: KeyboardInterrupt that meets C code comes out as that code's own
    error, such as SystemError ("returned a result with an exception set") from Kafka's client.

    Raises:
        typer.Exit: a signal has ended what was within.
    """
    interruption = Interruption()
    with handled(interruption.handle, signal.SIGINT, signal.SIGTERM):
        try:
            yield interruption
        except BaseException as error:
            if interruption.number is None:
                raise
            typer.echo("stopped", err=True)
            raise typer.Exit(_SIGNAL_BASE + interruption.number) from error


@contextmanager
def handled(handler: Callable[[int, FrameType | None], object], *numbers: signal.Signals) -> Iterator[None]:
    """Within it these signals have this handler; after it, those that they had before."""
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
