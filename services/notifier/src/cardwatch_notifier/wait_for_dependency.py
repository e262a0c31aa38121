"""Repeats calls to the registry, the broker and the outbox until they answer or the notifier is asked to stop."""

from collections.abc import Callable
from typing import Final, Literal, TypeVar

from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_kafka.dead_letters import DeadLetterError
from cardwatch_kafka.errors import KafkaClientError
from cardwatch_service.logs import get_logger
from cardwatch_service.retry import Stop, retry_until_stopped

from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import OutboxUnavailableError

log = get_logger(__name__)

T = TypeVar("T")

Dependency = Literal["dead_letter", "kafka", "outbox", "registry"]

_NAMES: Final[dict[Dependency, str]] = {
    "dead_letter": "dead-letter topic",
    "kafka": "Kafka broker",
    "outbox": "outbox",
    "registry": "schema registry",
}
_TRANSIENT_ERRORS: Final = (RegistryUnavailableError, DeadLetterError, OutboxUnavailableError, KafkaClientError)


def wait_for_dependency(dependency: Dependency, call: Callable[[], T], *, stop: Stop, metrics: NotifierMetrics) -> T:
    """Repeat a call for as long as what it depends on does not answer.

    Args:
        dependency: what is waited for; label ``kind`` of ``cardwatch_errors_total``.

    Raises:
        StoppedError: the stop was requested before the call succeeded.
    """

    def report(error: BaseException, attempts: int) -> None:
        metrics.shared.errors.labels(dependency).inc()
        log.warning(f"waiting for the {_NAMES[dependency]}", reason=str(error), attempts=attempts)

    return retry_until_stopped(call, errors=_TRANSIENT_ERRORS, stop=stop, before_pause=report)
