"""Notices what a courier waits for in vain: an attempt that does not come back, or its own thread."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Beyond a receiver's deadline: for a machine under load, and a courier's pauses while the outbox does not answer.
GRACE_SECONDS: Final = 15.0


class CourierWatch:
    """Remembers when a courier's attempts and its last round began. Times are ``time.monotonic``."""

    def __init__(self, receiver: str, deadline_seconds: float) -> None:
        self._receiver: Final = receiver
        self._deadline_seconds: Final = deadline_seconds
        self._attempts: Final[dict[object, float]] = {}
        self._round_began_at: float | None = None  # None: not started

    def round_begins(self) -> None:
        """Record that the courier's thread looks at the outbox again."""
        self._round_began_at = time.monotonic()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """An attempt runs in this context; any number may at a time, each in its thread."""
        attempt = object()
        self._attempts[attempt] = time.monotonic()
        try:
            yield
        finally:
            del self._attempts[attempt]

    def attempt_problem(self, now: float) -> str:
        """That an attempt does not come back, one sentence; empty while none is overdue."""
        began_at = min(self._attempts.copy().values(), default=now)
        if not self._overdue(began_at, now):
            return ""
        return (
            f"an attempt to deliver to {self._receiver} began {now - began_at:.0f} s ago and has not ended; "
            f"expected its end within {self._deadline_seconds:g} s"
        )

    def thread_problem(self, now: float) -> str:
        """That the courier's thread does not come back, one sentence; empty while it does, or was not started."""
        began_at = self._round_began_at
        if began_at is None or not self._overdue(began_at, now):
            return ""
        return f"the courier of {self._receiver} has not looked at the outbox for {now - began_at:.0f} s"

    def _overdue(self, began_at: float, now: float) -> bool:
        return now - began_at > self._deadline_seconds + GRACE_SECONDS
