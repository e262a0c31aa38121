"""Notices work that is there and does not advance, which is why ``/healthz`` fails and the service is restarted.

| what is seen                                     | healthy                                             |
|--------------------------------------------------|-----------------------------------------------------|
| no work is left                                  | yes                                                 |
| work is left, its position moves                 | yes                                                 |
| a dependency is away, attempts to reach it go on | yes: a restart would not bring it back              |
| work is left, nothing moves, nothing is tried    | not for longer than the limit                       |
| nobody reports any more                          | not for longer than the limit                       |
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

_REPORTS_PER_LIMIT: Final = 6
_LONGEST_INTERVAL_SECONDS: Final = 10.0


class ProgressWatch:
    """What a service's worker reports of its progress, and what ``/healthz`` answers. For any threads."""

    def __init__(self, worker: str, limit_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            worker: who does the work, as the beginning of a sentence: ``the consumer``.
            limit_seconds: how long work may be left without any progress.
            clock: seconds; tests pass a fake.
        """
        self._worker: Final = worker
        self._limit_seconds: Final = limit_seconds
        self._clock: Final = clock
        self._reported_at: float | None = None  # None: the worker does not run
        self._marks: dict[str, object] = {}
        self._unchanged_since: dict[str, float] = {}

    @property
    def interval_seconds(self) -> float:
        """How often a worker should report."""
        return min(self._limit_seconds / _REPORTS_PER_LIMIT, _LONGEST_INTERVAL_SECONDS)

    def report_alive(self) -> None:
        """The worker did something that counts as progress, or tries again to reach a dependency that is away."""
        now = self._reported_at = self._clock()
        self._unchanged_since = dict.fromkeys(self._unchanged_since, now)

    def report_work(self, marks: Mapping[str, object]) -> None:
        """Which parts of the work are left, as the sentence of a problem calls them, each with a mark.

        A part advances whenever its mark is another one than in the last report.
        """
        now = self._reported_at = self._clock()
        self._unchanged_since = {
            part: self._unchanged_since.get(part, now) if self._marks.get(part) == mark else now
            for part, mark in marks.items()
        }
        self._marks = dict(marks)

    def report_end(self) -> None:
        """The worker ended; until it reports again there is nothing to watch."""
        self._reported_at = None
        self._unchanged_since = {}

    def problem(self) -> str:
        """Why a restart would help, one sentence; empty where it would not."""
        now, reported_at = self._clock(), self._reported_at
        if reported_at is None:
            return ""
        if now - reported_at > self._limit_seconds:
            return (
                f"{self._worker} has given no sign of life for {now - reported_at:.0f} s; "
                f"expected one within {self._limit_seconds:g} s"
            )
        (since, part) = min(((at, part) for part, at in self._unchanged_since.items()), default=(now, ""))
        if now - since <= self._limit_seconds:
            return ""
        return (
            f"{self._worker} has not advanced in {part} for {now - since:.0f} s although there is more; "
            f"expected progress within {self._limit_seconds:g} s"
        )
