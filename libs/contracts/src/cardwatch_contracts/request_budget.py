"""Limits how often something is asked: a few requests at once, and so many per second after that."""

import threading
import time
from collections.abc import Callable
from typing import Final


class RequestBudget:
    """A token bucket. Several threads may share it."""

    def __init__(
        self,
        per_second: float,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            burst: how many requests can be made at once after a pause.
            clock: seconds that never go back.
        """
        self._per_second: Final = per_second
        self._burst: Final = float(burst)
        self._clock: Final = clock
        self._sleep: Final = sleep
        self._left = float(burst)
        self._at = clock()
        self._lock: Final = threading.Lock()

    def wait(self) -> None:
        """Take a request, and sleep until it may be made."""
        with self._lock:
            self._refill()
            self._left -= 1
            seconds = -self._left / self._per_second
        if seconds > 0:
            self._sleep(seconds)

    def take(self) -> bool:
        """Take a request if it may be made now."""
        with self._lock:
            self._refill()
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
