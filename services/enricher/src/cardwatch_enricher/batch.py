"""A batch: each message through the pipeline, all outcomes published; done only when every one of them is safe."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.wire import Encoder
from cardwatch_service import logs
from cardwatch_service.metrics import Metrics
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from cardwatch_enricher.message import Enriched, Outcome, RawMessage, Refused
from cardwatch_enricher.pipeline import Pipeline
from cardwatch_enricher.publish import Headers, Outgoing, PublicationFailedError, Publisher, StoppedError
from cardwatch_enricher.refuse import truncated
from cardwatch_enricher.traces import Traces

log = logs.get(__name__)

_LONGEST_WAIT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """A topic and how its records are encoded."""

    topic: str
    encode: Encoder


class BatchProcessor:
    """Processes batches, one at a time. Blocks: runs in a thread of its own."""

    def __init__(
        self,
        pipeline: Pipeline,
        publisher: Publisher,
        silver: Target,
        dead_letters: Target,
        metrics: Metrics,
        *,
        traces: Traces | None = None,
        stopped: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            traces: None where traces are off.
            stopped: whether to give up waiting for the registry.
        """
        self._traces = traces
        self._pipeline = pipeline
        self._publisher = publisher
        self._silver = silver
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._stopped = stopped
        self._from_broker = metrics.latency.labels("raw_broker_time", "silver_published")
        self._from_event = metrics.latency.labels("event_time", "silver_published")
        self._retrying = Retrying(
            retry=retry_if_exception_type(RegistryUnavailableError),
            wait=wait_exponential(multiplier=0.1, max=_LONGEST_WAIT_SECONDS),
            before_sleep=self._registry_is_away,
            sleep=sleep,
        )

    def __call__(self, messages: Sequence[RawMessage]) -> None:
        """Process a batch; when this returns, every message of it is in silver or among the dead letters.

        Raises:
            PublicationFailedError: the broker refuses, and waiting will not help.
            StoppedError: the service stops.
        """
        for message in messages:
            self._metrics.consumed.labels(message.topic).inc()
        if self._traces is None:
            self._process(messages, repeat(()))
            return
        with self._traces.of(messages) as steps:
            steps.tell(self._process(messages, steps.headers))

    def _process(self, messages: Sequence[RawMessage], headers: Iterable[Headers]) -> list[Outcome]:
        """What became of each message, once it is safe. ``headers`` go with what is published for it."""
        outcomes = [self._outcome(message) for message in messages]
        return self._publish([self._encoded(outcome, some) for outcome, some in zip(outcomes, headers, strict=False)])

    def _outcome(self, message: RawMessage) -> Outcome:
        try:
            return self._pipeline(message)
        except RegistryUnavailableError:
            # Rare, so that the cost of a retrying call is paid then only.
            self._metrics.errors.labels("registry_unavailable").inc()
            return self._retrying(self._pipeline, message)

    def _registry_is_away(self, state: RetryCallState) -> None:
        if self._stopped():
            raise StoppedError("stopped while the schema registry did not answer; the batch is repeated after a start")
        self._metrics.errors.labels("registry_unavailable").inc()
        log.warning("waiting for the schema registry", attempt=state.attempt_number)

    def _encoded(self, outcome: Outcome, headers: Headers) -> tuple[Outcome, Outgoing]:
        if isinstance(outcome, Enriched):
            try:
                return outcome, Outgoing(self._silver.topic, outcome.key, self._silver.encode(outcome.record), headers)
            except Exception as error:  # noqa: BLE001  # a defect of ours must cost one message at most
                outcome = self._pipeline.defect(outcome.source, error)
        value = self._dead_letters.encode(outcome.record)
        return outcome, Outgoing(self._dead_letters.topic, outcome.key, value, headers)

    def _publish(self, work: list[tuple[Outcome, Outgoing]]) -> list[Outcome]:
        rejected = set(self._publisher.publish([outgoing for _, outgoing in work]))
        final = [outcome for outcome, _ in work]
        self._count([outcome for index, outcome in enumerate(final) if index not in rejected])
        if not rejected:
            return final
        letters = []
        for index in sorted(rejected):
            outcome, outgoing = work[index]
            if isinstance(outcome, Enriched):
                outcome = self._pipeline.defect(outcome.source, ValueError("the broker rejects the silver record"))
            final[index] = letter = truncated(outcome)
            letters.append(self._encoded(letter, outgoing.headers))
        if self._publisher.publish([outgoing for _, outgoing in letters]):
            raise PublicationFailedError(
                f"the broker takes no dead letter of {self._dead_letters.topic}, not even a short one; "
                "a max.message.bytes of 1 MB for it would be right"
            )
        self._count([outcome for outcome, _ in letters])
        return final

    def _count(self, outcomes: list[Outcome]) -> None:
        now = time.time()
        silver = 0
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                self._metrics.refused.labels(outcome.reason).inc()
                continue
            silver += 1
            self._from_broker.observe(max(0.0, now - outcome.record["raw_broker_time"] / MICROSECONDS_PER_SECOND))
            self._from_event.observe(max(0.0, now - outcome.record["event_time"] / MICROSECONDS_PER_SECOND))
        self._metrics.published.labels(self._silver.topic).inc(silver)
        self._metrics.published.labels(self._dead_letters.topic).inc(len(outcomes) - silver)
