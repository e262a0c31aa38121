"""Takes alerts from Kafka into the outbox: decode, dead letters, outbox, then the Kafka offset, in this order."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from cardwatch_service.logs import get as get_logger
from cardwatch_service.retry import StoppedError
from cardwatch_service.shutdown import Shutdown

from cardwatch_notifier.alerts import Alert
from cardwatch_notifier.intake.dead_letters import DeadLetters, Refused
from cardwatch_notifier.intake.decoding import AlertDecoder
from cardwatch_notifier.intake.kafka_source import RawMessage, Source
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import Arrival, Outbox, OutboxBehindError
from cardwatch_notifier.retry import Dependency, retry_until_stopped
from cardwatch_notifier.transitions import Verdict

log = get_logger(__name__)

T = TypeVar("T")

# Also how long a stop may take to be noticed.
_POLL_SECONDS: Final = 0.2


class OutboxWriter:
    """Writes arrivals to the outbox, with a delivery to each receiver, and wakes the couriers.

    ``wake`` is called when there is something new in the outbox; ``clock`` returns microseconds since 1970-01-01 UTC.
    """

    def __init__(
        self, outbox: Outbox, receivers: Iterable[str], *, wake: Callable[[], None], clock: Callable[[], int]
    ) -> None:
        self._outbox: Final = outbox
        self._receivers: Final = tuple(receivers)
        self._wake: Final = wake
        self._clock: Final = clock

    def write(self, arrivals: Sequence[Arrival]) -> list[Verdict]:
        """Accept arrivals; returns what each newly accepted alert amounts to.

        Raises:
            OutboxUnavailableError: the outbox does not answer.
            OutboxBehindError: the outbox lost what it had accepted before.
        """
        verdicts = self._outbox.accept(arrivals, self._receivers, self._clock())
        self._wake()
        return verdicts


class Intake:
    """Moves alerts from a source to the outbox."""

    def __init__(
        self,
        source: Source,
        decoder: AlertDecoder,
        dead_letters: DeadLetters,
        outbox: OutboxWriter,
        metrics: NotifierMetrics,
        shutdown: Shutdown,
    ) -> None:
        self._source: Final = source
        self._decoder: Final = decoder
        self._dead_letters: Final = dead_letters
        self._outbox: Final = outbox
        self._metrics: Final = metrics
        self._shutdown: Final = shutdown

    def run(self) -> None:
        """Work until the stop is requested."""
        while not self._shutdown.requested:
            messages = self._source.poll(_POLL_SECONDS)
            if messages:
                self.take(messages)

    def take(self, messages: Sequence[RawMessage]) -> None:
        """Take a batch in. Nothing of it is passed over: a stop in the middle leaves it to the next start."""
        try:
            self._take(messages)
        except StoppedError:
            return
        except OutboxBehindError as error:
            self._metrics.shared.errors.labels("outbox_behind").inc()
            log.error("reading again what the outbox has lost", reason=str(error))  # noqa: TRY400 - no defect of ours
            self._source.rewind()

    def _take(self, messages: Sequence[RawMessage]) -> None:
        decoded = self._retry("registry", lambda: [self._decoder.decode(raw) for raw in messages])
        refused = [outcome for outcome in decoded if isinstance(outcome, Refused)]
        if refused:
            self._retry("dead_letter", lambda: self._dead_letters.write(refused))
            self._count_refused(refused)
        arrivals = [
            Arrival(raw.partition, raw.offset, outcome if isinstance(outcome, Alert) else None, raw.follows)
            for raw, outcome in zip(messages, decoded, strict=True)
        ]
        verdicts = self._retry("outbox", lambda: self._outbox.write(arrivals))
        self._source.commit({raw.partition: raw.offset + 1 for raw in messages})
        self._metrics.accepted(verdicts)
        for raw in messages:
            self._metrics.shared.consumed.labels(raw.partition.topic).inc()

    def _count_refused(self, refused: Sequence[Refused]) -> None:
        for one in refused:
            self._metrics.shared.refused.labels(one.error.reason.value).inc()
            log.warning(
                "message refused",
                reason=one.error.reason.value,
                partition=one.message.partition.number,
                offset=one.message.offset,
            )

    def _retry(self, dependency: Dependency, call: Callable[[], T]) -> T:
        return retry_until_stopped(dependency, call, stop=self._shutdown, metrics=self._metrics)
