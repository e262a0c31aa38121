"""Takes alerts from Kafka into the outbox: decode, dead letters, outbox, then the Kafka offset, in this order."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from cardwatch_contracts.errors import RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record
from cardwatch_service.logs import get as get_logger
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.trace_context import extract_context

from cardwatch_notifier.alerts import Alert, alert_from_record
from cardwatch_notifier.intake.dead_letters import DeadLetters, Refused
from cardwatch_notifier.intake.kafka_source import RawMessage, Source
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import Arrival, Outbox, OutboxBehindError
from cardwatch_notifier.patience import patiently

log = get_logger(__name__)

# Also how long a stop may take to be noticed.
_POLL_SECONDS: Final = 0.2


class Intake:
    """Moves alerts from a source to the outbox.

    ``wake`` is called when there is something new in it; ``clock`` tells microseconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        source: Source,
        decode: Callable[[bytes | None], Record],
        outbox: Outbox,
        receivers: Sequence[str],
        dead_letters: DeadLetters,
        wake: Callable[[], None],
        metrics: NotifierMetrics,
        clock: Callable[[], int],
        shutdown: Shutdown,
    ) -> None:
        self._source = source
        self._decode = decode
        self._outbox = outbox
        self._receivers = tuple(receivers)
        self._dead_letters = dead_letters
        self._wake = wake
        self._metrics = metrics
        self._clock = clock
        self._shutdown = shutdown

    def run(self) -> None:
        """Work until the stop is asked for."""
        while not self._shutdown.requested:
            messages = self._source.poll(_POLL_SECONDS)
            if messages:
                self.take(messages)

    def take(self, messages: Sequence[RawMessage]) -> None:
        """Take a batch in. Nothing of it is passed over: a stop in the middle leaves it to the next start."""
        decoded = patiently(self._shutdown, self._metrics, "registry", lambda: [self._alert(raw) for raw in messages])
        if decoded is None:
            return
        refused = [outcome for outcome in decoded if isinstance(outcome, Refused)]
        if refused and patiently(self._shutdown, self._metrics, "dead_letter", lambda: self._bury(refused)) is None:
            return
        arrivals = [
            Arrival(raw.partition, raw.offset, outcome if isinstance(outcome, Alert) else None, raw.follows)
            for raw, outcome in zip(messages, decoded, strict=True)
        ]
        try:
            verdicts = patiently(
                self._shutdown,
                self._metrics,
                "outbox",
                lambda: self._outbox.accept(arrivals, self._receivers, self._clock()),
            )
        except OutboxBehindError as error:
            self._metrics.shared.errors.labels("outbox_behind").inc()
            log.error("reading again what the outbox has lost", reason=str(error))  # noqa: TRY400 - no defect of ours
            self._source.rewind()
            return
        if verdicts is None:
            return
        self._wake()
        self._source.commit({raw.partition: raw.offset + 1 for raw in messages})
        self._metrics.accepted(verdicts)
        for raw in messages:
            self._metrics.shared.consumed.labels(raw.partition.topic).inc()

    def _alert(self, raw: RawMessage) -> Alert | Refused:
        try:
            return replace(alert_from_record(self._decode(raw.value)), trace_context=extract_context(raw.headers))
        except RegistryUnavailableError:
            raise
        except RefusedError as error:
            return Refused(raw, error)
        except Exception as error:
            # A defect of ours must not stop the alerts behind this message; the letter keeps it.
            log.exception("an alert could not be read", partition=raw.partition.number, offset=raw.offset)
            return Refused(raw, RefusedError(Reason.INTERNAL_ERROR, f"reading it raised {type(error).__name__}"))

    def _bury(self, refused: Sequence[Refused]) -> bool:
        self._dead_letters.write(refused)
        for one in refused:
            self._metrics.shared.refused.labels(one.error.reason.value).inc()
            log.warning(
                "message refused",
                reason=one.error.reason.value,
                partition=one.message.partition.number,
                offset=one.message.offset,
            )
        return True
