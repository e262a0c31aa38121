"""Keeps the stream running: starts a new application whenever its connection breaks for good; ends a stop in time."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from cardwatch_kafka.lost_offsets import LostOffsetsError
from cardwatch_service import logs
from cardwatch_service.metrics import Metrics
from cardwatch_service.retry_pauses import CONSUMER_RESTART
from cardwatch_service.shutdown import Shutdown

from cardwatch_enricher.stream.application import StreamApplication

log = logs.get_logger(__name__)


class Readiness:
    """What the readiness probe asks."""

    def __init__(self) -> None:
        self.application: StreamApplication | None = None

    def not_ready(self) -> str:
        """Why the enricher is not ready; empty once it has joined its consumer group."""
        application = self.application
        ready = application is not None and application.ready
        return "" if ready else "the enricher has not joined its consumer group"


class GracePeriod:
    """A stop that takes effect some time after it was requested, so that work in progress can end."""

    def __init__(
        self,
        shutdown: Shutdown,
        seconds: float,
        *,
        on_wait: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            on_wait: called before each pause between two attempts to reach a dependency.
            clock: seconds; tests pass a fake.
        """
        self._shutdown: Final = shutdown
        self._seconds: Final = seconds
        self._on_wait: Final = on_wait
        self._clock: Final = clock
        self._deadline: float | None = None

    @property
    def requested(self) -> bool:
        """Whether a stop was requested longer ago than the grace period."""
        if not self._shutdown.requested:
            return False
        if self._deadline is None:
            self._deadline = self._clock() + self._seconds
        return self._clock() >= self._deadline

    def wait(self, seconds: float) -> bool:
        """Sleep; returns ``requested``."""
        self._on_wait()
        time.sleep(seconds)
        return self.requested


async def run_until_stopped(
    make_application: Callable[[], StreamApplication], shutdown: Shutdown, readiness: Readiness, metrics: Metrics
) -> None:
    """Run the application, and a new one whenever its connection to the broker breaks for good.

    Raises:
        LostOffsetsError: the broker has deleted messages before they were read.
    """
    failures = 1  # so that a first connection that is never made counts as the second
    while not shutdown.requested:
        application = readiness.application = make_application()
        try:
            await application.run(lambda: shutdown.requested)
        except LostOffsetsError:
            raise
        except Exception as error:  # noqa: BLE001  # after any error a new one starts from the last commit
            readiness.application = None
            failures = 1 if application.was_ready else failures + 1
            wait_seconds = CONSUMER_RESTART.seconds(failures)
            metrics.errors.labels("consumer_restarted").inc()
            log.warning(
                "the consumer broke and is restarted",
                error=str(error) or type(error).__name__, wait_seconds=wait_seconds,
            )  # fmt: skip
            await asyncio.to_thread(shutdown.wait, wait_seconds)
