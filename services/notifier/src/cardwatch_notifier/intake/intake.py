"""Takes alerts from Kafka into the outbox: decode, dead letters, outbox, then the Kafka offset, in this order."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_kafka.dead_letters import DeadLetter
from cardwatch_kafka.group_consumer import ConsumedMessage
from cardwatch_service.logs import get_logger
from cardwatch_service.retry import StoppedError
from cardwatch_service.shutdown import Shutdown

from cardwatch_notifier.alerts import Alert
from cardwatch_notifier.intake.dead_letters import DeadLetters
from cardwatch_notifier.intake.decoding import AlertDecoder
from cardwatch_notifier.intake.kafka_source import Source
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.notified_state import Decision
from cardwatch_notifier.outbox.protocol import Arrival, Outbox, OutboxBehindError, OutboxDataError, SourcePartition
from cardwatch_notifier.wait_for_dependency import Dependency, wait_for_dependency

log = get_logger(__name__)

T = TypeVar("T")

# Also how long a stop may take to be noticed.
_POLL_SECONDS: Final = 0.2


class OutboxWriter:
    """Writes alerts to the outbox, with a delivery to each receiver, and wakes the couriers.

    Args:
        receivers: the names of all receivers.
        topic_id: the broker's identity of the topic that the alerts come from.
        wake: called when there is something new in the outbox.
        clock: returns microseconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        outbox: Outbox,
        receivers: Iterable[str],
        *,
        topic_id: str,
        wake: Callable[[], None],
        clock: Callable[[], int],
    ) -> None:
        self._outbox: Final = outbox
        self._receivers: Final = tuple(receivers)
        self._topic_id: Final = topic_id
        self._wake: Final = wake
        self._clock: Final = clock

    def write(self, consumed: Sequence[ConsumedMessage], decoded: Sequence[Alert | DeadLetter]) -> list[Decision]:
        """Accept messages and what they were decoded to; returns what each newly accepted alert amounts to.

        Raises:
            OutboxUnavailableError: the outbox does not answer.
            OutboxBehindError: the outbox lost what it had accepted before.
        """
        arrivals = [
            Arrival(
                SourcePartition(message.topic, self._topic_id, message.partition),
                message.offset,
                outcome if isinstance(outcome, Alert) else None,
                previous_end,
            )
            for (message, previous_end), outcome in zip(consumed, decoded, strict=True)
        ]
        decisions = self._outbox.accept(arrivals, self._receivers, self._clock())
        self._wake()
        return decisions


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

    def take(self, consumed: Sequence[ConsumedMessage]) -> None:
        """Take a batch in. Nothing of it is passed over: a stop in the middle leaves it to the next start."""
        try:
            self._take(consumed)
        except StoppedError:
            return
        except OutboxBehindError as error:
            self._metrics.shared.errors.labels("outbox_behind").inc()
            log.error(  # noqa: TRY400 - not a defect, so no stack trace
                "the outbox is behind the offsets already read: reading again from its offsets", reason=str(error)
            )
            self._source.rewind()

    def _take(self, consumed: Sequence[ConsumedMessage]) -> None:
        messages = [message for message, _ in consumed]
        decoded = self._retry("registry", lambda: self._decoder.decode_batch(messages))
        refused = [outcome for outcome in decoded if isinstance(outcome, DeadLetter)]
        self._keep(refused)
        decisions = self._accept(consumed, decoded)
        self._source.commit({message.topic_partition: message.offset + 1 for message in messages})
        self._metrics.accepted(decisions)
        for message in messages:
            self._metrics.shared.consumed.labels(message.topic).inc()

    def _accept(self, consumed: Sequence[ConsumedMessage], decoded: Sequence[Alert | DeadLetter]) -> list[Decision]:
        """Write a batch to the outbox; a message that the outbox cannot hold becomes a dead letter."""
        try:
            return self._write(consumed, decoded)
        except OutboxDataError:
            # One of them; the others must not wait for it.
            pairs = zip(consumed, decoded, strict=True)
            return [decision for one, outcome in pairs for decision in self._accept_one(one, outcome)]

    def _accept_one(self, consumed: ConsumedMessage, outcome: Alert | DeadLetter) -> list[Decision]:
        try:
            return self._write([consumed], [outcome])
        except OutboxDataError as error:
            letter = self._decoder.refuse(consumed[0], RefusedError(Reason.WRONG_TYPE, str(error)))
            self._keep([letter])
            return self._write([consumed], [letter])

    def _write(self, consumed: Sequence[ConsumedMessage], decoded: Sequence[Alert | DeadLetter]) -> list[Decision]:
        return self._retry("outbox", lambda: self._outbox.write(consumed, decoded))

    def _keep(self, refused: Sequence[DeadLetter]) -> None:
        if refused:
            self._retry("dead_letter", lambda: self._dead_letters.write(refused))
            self._count_refused(refused)

    def _count_refused(self, refused: Sequence[DeadLetter]) -> None:
        for letter in refused:
            reason, source = letter.reason.value, letter.source
            self._metrics.shared.refused.labels(reason).inc()
            log.warning("message refused", reason=reason, partition=source.partition, offset=source.offset)

    def _retry(self, dependency: Dependency, call: Callable[[], T]) -> T:
        return wait_for_dependency(dependency, call, stop=self._shutdown, metrics=self._metrics)
