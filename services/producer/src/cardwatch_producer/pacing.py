"""Pacing: sending each thing at its time, and noticing a stop at once."""

import time
from collections.abc import Callable
from typing import Final

# How long it sleeps at most before it lets the client work (delivery reports) and looks for a stop.
_SLICE_SECONDS: Final = 0.1
# Shorter waits cost more than they are worth: a few messages leave a millisecond early.
_SHORTEST_SECONDS: Final = 0.001


class Pacer:
    """Waits until so many seconds after its start. Late is late: it never waits less to catch up, it just goes on."""

    def __init__(
        self,
        *,
        wait: Callable[[float], bool],
        between: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            wait: sleeps so many seconds; returns True, at once, when a stop is asked for (``Shutdown.wait``).
            between: called at least every tenth of a second while it waits.
            clock: seconds, of which only differences count.
        """
        self._wait = wait
        self._between = between
        self._clock = clock
        self._start = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since its start."""
        return self._clock() - self._start

    def until(self, offset: float) -> bool:
        """Wait until ``offset`` seconds after the start; False if a stop was asked for meanwhile."""
        while True:
            remaining = offset - self.elapsed
            if remaining < _SHORTEST_SECONDS:
                return True
            if self._wait(min(remaining, _SLICE_SECONDS)):
                return False
            self._between()
