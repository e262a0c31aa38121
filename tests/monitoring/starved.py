"""A process that hardly gets any processor time, as on an overloaded machine."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Final

from support.background import run_in_background

_RUNS_SECONDS: Final = 0.05
_STANDS_SECONDS: Final = 2.45


@contextmanager
def starved(pids: Sequence[int]) -> Iterator[None]:
    """For the length of a ``with`` processes run a fiftieth of the time; a child process is another pid."""

    def starve(ended: Event) -> None:
        while not ended.wait(_RUNS_SECONDS):
            try:
                _signal(pids, signal.SIGSTOP)
                ended.wait(_STANDS_SECONDS)
            finally:
                _signal(pids, signal.SIGCONT)

    with run_in_background(starve):
        yield


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)
