"""Limits how many bytes of messages are in memory: nothing is fetched while too much is fetched and not processed.

    broker ──fetch──▶ buffer ──▶ batch being processed ──▶ published
             │        └──────────── held bytes ──────┘
             └─ waits while they reach the limit

Faust and aiokafka count messages only, and a thousand messages may be a megabyte or a gigabyte.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

# Python's objects of a message, beyond its bytes; many tiny messages count too.
MESSAGE_OVERHEAD_BYTES: Final = 500
# Beyond the time that a batch waits to fill: what was fetched and is not processed by then was dropped in a rebalance.
_DROPPED_AFTER_SECONDS: Final = 5.0


class FetchBudget:
    """Counts the bytes of the messages that were fetched and are not processed yet. For any threads."""

    def __init__(self, max_bytes: int, batch_wait_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            max_bytes: nothing more is fetched from here on. One fetch may exceed it, by what the broker sends at once.
            batch_wait_seconds: how long a batch waits to fill before it is processed.
            clock: seconds; tests pass a fake.
        """
        self._max_bytes: Final = max_bytes
        self._dropped_after_seconds: Final = batch_wait_seconds + _DROPPED_AFTER_SECONDS
        self._clock: Final = clock
        self._lock: Final = threading.Lock()
        self._held_bytes = 0
        self._assignment = 0
        self._processing = False
        self._changed_at = clock()

    @property
    def held_bytes(self) -> int:
        """The bytes of the messages that were fetched and are not processed yet."""
        return self._held_bytes

    @property
    def assignment(self) -> int:
        """Which assignment of partitions it is, for ``add``: messages of an earlier one are never processed."""
        return self._assignment

    def has_room(self) -> bool:
        """Whether to fetch."""
        with self._lock:
            idle = not self._processing and self._clock() - self._changed_at > self._dropped_after_seconds
            if idle:  # whatever is still counted was dropped
                self._held_bytes = 0
            return self._held_bytes < self._max_bytes

    def add(self, size: int, assignment: int) -> None:
        """Messages of ``size`` bytes were fetched."""
        with self._lock:
            if assignment == self._assignment:
                self._held_bytes += size
                self._changed_at = self._clock()

    @contextmanager
    def processing(self, size: int) -> Iterator[None]:
        """Messages of ``size`` bytes are processed in this context and released at its end."""
        self._processing = True
        try:
            yield
        finally:
            with self._lock:
                self._processing = False
                self._held_bytes = max(0, self._held_bytes - size)
                self._changed_at = self._clock()

    def start_assignment(self) -> None:
        """Partitions were taken away or assigned: the client drops what it has fetched, and fetches it again."""
        with self._lock:
            self._assignment += 1
            self._held_bytes = 0
            self._changed_at = self._clock()


def message_bytes(key: bytes | None, value: bytes | None, headers: object) -> int:
    """How much a message counts."""
    size = MESSAGE_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
    if isinstance(headers, tuple | list):
        size += sum(len(name) + len(header or b"") for name, header in headers)
    return size
