"""Progress of long operations: messages and a progress bar."""

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


class Reporter(Protocol):
    """Receives progress; must not raise."""

    def message(self, text: str) -> None:
        """A step has begun or ended."""

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """So many bytes are downloaded; called repeatedly, the last time with all."""


class SilentReporter:
    """Ignores all progress."""

    def message(self, text: str) -> None:
        """Ignore it."""

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Ignore it."""


class RichReporter:
    """Messages and a progress bar on a console; use it as a context manager, which removes the bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None

    def message(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Move the bar; it appears with the first call and stays, finished, after the last."""
        if self._progress is None:
            self._progress = Progress(
                TextColumn("Downloading"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._progress.start()
            self._progress.add_task("download", total=total_bytes)
        self._progress.update(self._progress.task_ids[0], completed=done_bytes, total=total_bytes)
        if done_bytes >= total_bytes:
            self.close()

    def close(self) -> None:
        """Stop the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
