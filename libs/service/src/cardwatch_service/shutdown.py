"""A clean stop: SIGTERM and SIGINT set a flag that loops look at."""

import signal
import threading
from types import FrameType
from typing import Final


class Shutdown:
    """Whether the process was asked to stop."""

    def __init__(self) -> None:
        self._event: Final = threading.Event()

    def install(self) -> "Shutdown":
        """Take over SIGTERM and SIGINT. A second signal ends the process at once.

        In a thread other than the main one, as where a platform calls the service, signals stay the platform's.
        """
        if threading.current_thread() is not threading.main_thread():
            return self
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)
        return self

    @property
    def requested(self) -> bool:
        """Whether the stop was asked for."""
        return self._event.is_set()

    def request(self) -> None:
        """Ask for the stop."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but wake at once when the stop is asked for; returns whether it was."""
        return self._event.wait(seconds)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._event.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
