"""Waits for what passes by itself: a registry, a broker or a database that does not answer."""

import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_service.logs import get as get_logger
from confluent_kafka import KafkaException
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from cardwatch_notifier.intake.dead_letters import DeadLetterError
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import OutboxUnavailableError

log = get_logger(__name__)

T = TypeVar("T")

_PASSES: Final = (RegistryUnavailableError, DeadLetterError, OutboxUnavailableError, KafkaException)


class Stop(Protocol):
    """When not to wait any longer; ``cardwatch_service.shutdown.Shutdown`` is one."""

    @property
    def requested(self) -> bool:
        """Whether it is time."""

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until then; returns ``requested``."""


class Deadline:
    """A stop after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._at: Final = time.monotonic() + seconds

    @property
    def requested(self) -> bool:
        return time.monotonic() >= self._at

    def wait(self, seconds: float) -> bool:
        time.sleep(max(0.0, min(seconds, self._at - time.monotonic())))
        return self.requested


def patiently(stop: Stop, metrics: NotifierMetrics, kind: str, do: Callable[[], T]) -> T | None:
    """Do something that needs the registry, the broker or the outbox; wait for them as long as it takes.

    Args:
        kind: what is waited for, as ``cardwatch_errors_total`` names it.

    Returns:
        What came of it, or None: asked to stop.
    """

    def sleep(seconds: float) -> None:
        stop.wait(seconds)

    def tell(state: RetryCallState) -> None:
        metrics.shared.errors.labels(kind).inc()
        error = state.outcome.exception() if state.outcome else None
        log.warning("waiting", reason=str(error), attempts=state.attempt_number)

    retrying = Retrying(
        retry=retry_if_exception_type(_PASSES),
        wait=wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2),
        stop=lambda _: stop.requested,
        sleep=sleep,
        before_sleep=tell,
        retry_error_callback=lambda _: None,
    )
    return retrying(do)
