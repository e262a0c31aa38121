"""Waits until each message's time, and notices a stop at once."""

import time
from collections.abc import Callable
from typing import Final

# The longest sleep before delivery reports are taken and a stop is looked for.
_SLICE_SECONDS: Final = 0.1
# Shorter waits are skipped: messages leave up to a millisecond early, and few sleeps are needed.
_SHORTEST_SECONDS: Final = 0.001


class Pacer:
    """Waits until a given number of seconds after its start. It does not hurry to catch up after a delay."""

    def __init__(
        self,
        *,
        wait: Callable[[float], bool],
        on_wait: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            wait: sleeps for a number of seconds; returns True, at once, when a stop is requested (``Shutdown.wait``).
            on_wait: called at least every tenth of a second while it waits.
            clock: returns seconds; only differences count.
        """
        self._wait = wait
        self._on_wait = on_wait
        self._clock = clock
        self._start = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since its start."""
        return self._clock() - self._start

    def until(self, offset: float) -> bool:
        """Wait until ``offset`` seconds after the start; False if a stop was requested meanwhile."""
        while True:
            remaining = offset - self.elapsed
            if remaining < _SHORTEST_SECONDS:
                return True
            if self._wait(min(remaining, _SLICE_SECONDS)):
                return False
            self._on_wait()
