"""Processes a batch: passes each message through the pipeline, and publishes every outcome before the batch is done."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final, Protocol, TypeVar

from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.wire import Encoder
from cardwatch_kafka.dead_letters import DeadLetter, encode_dead_letter, remove_large_content, shorten_dead_letter
from cardwatch_kafka.errors import DeliveryError, StoppedError
from cardwatch_kafka.messages import Headers, OutgoingMessage, ReceivedMessage
from cardwatch_service import logs, retry
from cardwatch_service.metrics import Metrics
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

from cardwatch_enricher.pipeline.outcomes import Enriched, Outcome
from cardwatch_enricher.pipeline.pipeline import Pipeline
from cardwatch_enricher.stream.traces import BatchTraces

log = logs.get_logger(__name__)

T = TypeVar("T")

# A dead letter that is larger than the broker accepts keeps this many bytes of the refused message's value.
_MAX_SHORTENED_VALUE_BYTES: Final = 256 * 1024


class Publisher(Protocol):
    """Publishes batches; ``cardwatch_kafka.publisher.BatchPublisher``."""

    def publish(self, batch: Sequence[OutgoingMessage]) -> list[int]:
        """Publish a batch and wait until the broker has acknowledged it.

        Returns:
            Indices of messages that the broker will never take, however often they are sent: they are too large.

        Raises:
            DeliveryError: the broker accepts no message, and a retry cannot help: the topic is missing, or a right to
                it.
            StoppedError: the service stops.
        """


@dataclass(frozen=True, slots=True)
class Target:
    """A topic and how its records are encoded."""

    topic: str
    encode: Encoder


@dataclass(frozen=True, slots=True)
class Targets:
    """Where outcomes are published."""

    silver: Target
    dead_letters: Target


class BatchProcessor:
    """Processes batches, one at a time. Blocks: runs in a thread of its own."""

    def __init__(
        self,
        pipeline: Pipeline,
        publisher: Publisher,
        targets: Targets,
        metrics: Metrics,
        *,
        traces: BatchTraces | None = None,
        stop: retry.Stop,
    ) -> None:
        """
        Args:
            traces: None where traces are off.
            stop: when to give up waiting for the registry.
        """
        self._pipeline: Final = pipeline
        self._publisher: Final = publisher
        self._targets: Final = targets
        self._metrics: Final = metrics
        self._traces: Final = traces
        self._stop: Final = stop
        self._from_broker: Final = metrics.latency.labels("raw_broker_time", "silver_published")
        self._from_event: Final = metrics.latency.labels("event_time", "silver_published")

    def __call__(self, messages: Sequence[ReceivedMessage]) -> None:
        """Process a batch; when this returns, every message of it is in silver or a dead letter.

        Raises:
            DeliveryError: the broker refuses, and waiting will not help.
            StoppedError: the service stops.
        """
        for message in messages:
            self._metrics.consumed.labels(message.topic).inc()
        if self._traces is None:
            self._process(messages, repeat(()))
            return
        with self._traces.trace(messages) as spans:
            spans.set_outcomes(self._process(messages, spans.headers))

    def _process(self, messages: Sequence[ReceivedMessage], headers: Iterable[Headers]) -> list[Outcome]:
        """The outcome of each message, once the broker has acknowledged it.

        Args:
            headers: of the messages to publish.
        """
        self._retrying(lambda: self._pipeline.look_up(messages))
        outcomes = [self._outcome(message) for message in messages]
        return self._publish(
            [self._encoded(outcome, its_headers) for outcome, its_headers in zip(outcomes, headers, strict=False)]
        )

    def _outcome(self, message: ReceivedMessage) -> Outcome:
        try:
            return self._pipeline(message)
        except RegistryUnavailableError as error:
            # The registry rarely fails, so the cost of a retrying call is paid only after a failure.
            self._report_registry(error, 0)
            return self._retrying(lambda: self._pipeline(message))

    def _retrying(self, call: Callable[[], T]) -> T:
        try:
            return retry.retry_until_stopped(
                call,
                errors=(RegistryUnavailableError,),
                stop=self._stop,
                before_pause=self._report_registry,
            )
        except retry.StoppedError as error:
            raise StoppedError(
                "stopped while the schema registry did not answer; the batch is repeated after a restart"
            ) from error

    def _report_registry(self, error: BaseException, attempts: int) -> None:
        self._metrics.errors.labels("registry_unavailable").inc()
        log.warning("waiting for the schema registry", attempt=attempts + 1, error=str(error))

    def _encoded(self, outcome: Outcome, headers: Headers) -> tuple[Outcome, OutgoingMessage]:
        if isinstance(outcome, Enriched):
            silver = self._targets.silver
            try:
                return outcome, OutgoingMessage(silver.topic, outcome.key, silver.encode(outcome.record), headers)
            except Exception as error:  # noqa: BLE001  # an internal error must affect one message at most
                outcome = self._pipeline.internal_error(outcome.source, error)
        return self._encoded_letter(outcome, headers)

    def _encoded_letter(self, letter: DeadLetter, headers: Headers) -> tuple[DeadLetter, OutgoingMessage]:
        (letter, value) = encode_dead_letter(
            letter, self._targets.dead_letters.encode, self._pipeline.report_internal_error
        )
        return letter, OutgoingMessage(self._targets.dead_letters.topic, letter.key, value, headers)

    def _publish(self, work: list[tuple[Outcome, OutgoingMessage]]) -> list[Outcome]:
        rejected = set(self._publisher.publish([outgoing for _, outgoing in work]))
        final = [outcome for outcome, _ in work]
        self._count([outcome for index, outcome in enumerate(final) if index not in rejected])
        if rejected:
            letters = self._publish_smaller([work[index] for index in sorted(rejected)])
            for index, letter in zip(sorted(rejected), letters, strict=True):
                final[index] = letter
            self._count(list(letters))
        return final

    def _publish_smaller(self, rejected: list[tuple[Outcome, OutgoingMessage]]) -> list[DeadLetter]:
        """Publish dead letters for what was too large: a part of the message, or if need be nothing of its content."""
        letters = [self._encoded_letter(self._shortened(outcome), outgoing.headers) for outcome, outgoing in rejected]
        for index in self._publisher.publish([outgoing for _, outgoing in letters]):
            (letter, outgoing) = letters[index]
            letters[index] = small = self._encoded_letter(remove_large_content(letter), outgoing.headers)
            if self._publisher.publish([small[1]]):
                raise DeliveryError(
                    f"the broker accepts no dead letter on {self._targets.dead_letters.topic}, not even one without "
                    "content; set the topic's max.message.bytes to 1 MB or more"
                )
        return [letter for letter, _ in letters]

    def _shortened(self, outcome: Outcome) -> DeadLetter:
        if isinstance(outcome, Enriched):
            outcome = self._pipeline.internal_error(outcome.source, ValueError("the broker rejects the silver record"))
        return shorten_dead_letter(outcome, _MAX_SHORTENED_VALUE_BYTES)

    def _count(self, outcomes: list[Outcome]) -> None:
        now = time.time()
        silver = 0
        for outcome in outcomes:
            if isinstance(outcome, DeadLetter):
                self._metrics.refused.labels(outcome.reason).inc()
                continue
            silver += 1
            self._from_broker.observe(max(0.0, now - outcome.record["raw_broker_time"] / MICROSECONDS_PER_SECOND))
            self._from_event.observe(max(0.0, now - outcome.record["event_time"] / MICROSECONDS_PER_SECOND))
        self._metrics.published.labels(self._targets.silver.topic).inc(silver)
        self._metrics.published.labels(self._targets.dead_letters.topic).inc(len(outcomes) - silver)
