"""Removes delivered messages once they are old enough."""

import threading
from collections.abc import Callable
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_service.logs import get_logger
from cardwatch_units.timestamps import MICROSECONDS_PER_DAY

from cardwatch_notifier.outbox.protocol import Outbox

log = get_logger(__name__)

_INTERVAL_SECONDS: Final = 3600.0


class Housekeeping:
    """Prunes the outbox now and every hour, in a thread of its own."""

    def __init__(self, outbox: Outbox, retention_days: float, clock: Callable[[], int]) -> None:
        self._outbox = outbox
        self._retention = round(retention_days * MICROSECONDS_PER_DAY)
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        self._thread.join()

    def prune(self) -> None:
        """Remove the messages that are old enough now."""
        removed = self._outbox.prune(self._clock() - self._retention)
        if removed:
            log.info("old messages removed from the outbox", messages=removed)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.prune()
            except CardwatchError as error:
                # A failure must not stop deliveries; pruning is tried again in an hour.
                log.warning("old messages were not removed from the outbox", reason=str(error))
            self._stopping.wait(_INTERVAL_SECONDS)
