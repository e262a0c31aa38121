"""Graceful shutdown: SIGTERM and SIGINT set a flag that loops check."""

import signal
import threading
from types import FrameType
from typing import Final


class Shutdown:
    """A stop that SIGTERM and SIGINT request."""

    def __init__(self) -> None:
        self._event: Final = threading.Event()

    def install(self) -> "Shutdown":
        """Handle SIGTERM and SIGINT. A second signal ends the process at once.

        In a thread other than the main one signals are left alone: whoever runs the service there handles them.
        """
        if threading.current_thread() is not threading.main_thread():
            return self
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)
        return self

    @property
    def requested(self) -> bool:
        """Whether the stop was requested."""
        return self._event.is_set()

    def request(self) -> None:
        """Request the stop."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but wake at once when the stop is requested; returns whether it was."""
        return self._event.wait(seconds)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._event.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
