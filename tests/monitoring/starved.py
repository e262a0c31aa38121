"""A process that hardly gets the processor, as on a machine that others have overloaded."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Final

_RUNS_SECONDS: Final = 0.05
_STANDS_SECONDS: Final = 0.45


@contextmanager
def starved(pids: Sequence[int]) -> Iterator[None]:
    """For the length of a ``with`` processes run a tenth of the time; a child process is another pid."""
    ended = Event()

    def starve() -> None:
        try:
            while not ended.is_set():
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                ended.wait(_STANDS_SECONDS)
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
                ended.wait(_RUNS_SECONDS)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    with ThreadPoolExecutor(1) as pool:
        starving = pool.submit(starve)
        try:
            yield
        finally:
            ended.set()
        starving.result()
