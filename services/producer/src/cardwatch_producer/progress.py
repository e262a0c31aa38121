"""Progress on standard error: a progress bar on a terminal, a log line every five seconds elsewhere."""

import sys
import time
from types import TracebackType
from typing import Final, Protocol, Self

from cardwatch_service.logs import get_logger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_LOG_SECONDS: Final = 5.0
_LOOK_EVERY: Final = 256

log = get_logger(__name__)


class Counts(Protocol):
    """What progress shows of the sink."""

    @property
    def outstanding(self) -> int:
        """Messages sent and not acknowledged yet."""


class SendingProgress:
    """Counts sent messages and shows the count every few seconds."""

    def __init__(self, counts: Counts, expected: int | None) -> None:
        """``expected``: the approximate number of messages; None if it is unknown."""
        self._counts = counts
        self.sent = 0
        self._started = self._shown = time.monotonic()
        self._live: Progress | None = None
        if sys.stderr.isatty():
            self._live = Progress(
                TextColumn("sent"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]:,.0f}/s, {task.fields[outstanding]:,} outstanding"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._live.add_task("sent", total=expected, rate=0.0, outstanding=0)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def advance(self) -> None:
        """Count one sent message."""
        self.sent += 1
        if self.sent % _LOOK_EVERY == 0:
            self.show()

    def show(self) -> None:
        """Show the progress; on a terminal always, in the log every five seconds."""
        now = time.monotonic()
        rate = self.sent / max(now - self._started, 1e-6)
        if self._live is not None:
            self._live.update(self._task, completed=self.sent, rate=rate, outstanding=self._counts.outstanding)
        elif now - self._shown >= _LOG_SECONDS:
            self._shown = now
            log.info("sending", sent=self.sent, rate_per_second=round(rate), outstanding=self._counts.outstanding)
