"""Publishes a batch as a whole: repeats it until the broker has acknowledged every message that it accepts."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from cardwatch_service import logs
from cardwatch_service.retry_pauses import PUBLISH_SECONDS
from tenacity import RetryCallState, Retrying, retry_if_result, wait_fixed

from cardwatch_kafka.errors import DeliveryError, ErrorKind, classify_error
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_kafka.producer import FailedDelivery, KafkaProducer

log = logs.get_logger(__name__)

# A person has to change something: create the topic, or grant the right to write to it.
_HOPELESS: Final = frozenset({ErrorKind.MISSING_TOPIC, ErrorKind.FORBIDDEN})


class BatchPublisher:
    """Publishes batches, in the given order for each key; survives outages of the broker and fatal client errors."""

    def __init__(
        self,
        producer: KafkaProducer,
        *,
        count_retry: Callable[[], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            producer: its ``stopped`` ends the wait for delivery reports and the retries.
            count_retry: called each time messages are sent again.
        """
        self._producer: Final = producer
        self._count_retry: Final = count_retry
        self._sleep: Final = sleep

    def publish(self, batch: Sequence[OutgoingMessage]) -> list[int]:
        """Publish a batch and wait until the broker has acknowledged it.

        Returns:
            Indices of messages that the broker will never take, however often they are sent: they are too large.

        Raises:
            DeliveryError: the broker accepts no message, and a retry cannot help: the topic is missing, or a right to
                it.
            StoppedError: the service stops.
        """
        rejected: list[int] = []
        unpublished = self._attempt(batch, range(len(batch)), rejected)
        if unpublished:
            self._retry(batch, unpublished, rejected)
        return rejected

    def _retry(self, batch: Sequence[OutgoingMessage], unpublished: list[FailedDelivery], rejected: list[int]) -> None:
        """Send again what failed for a reason that may pass, until nothing is left."""

        def attempt() -> list[FailedDelivery]:
            nonlocal unpublished
            unpublished = self._attempt(batch, [one.index for one in unpublished], rejected)
            return unpublished

        def prepare(_: RetryCallState) -> None:
            self._prepare_retry(unpublished)

        self._prepare_retry(unpublished)
        self._sleep(PUBLISH_SECONDS)
        Retrying(
            retry=retry_if_result(bool), wait=wait_fixed(PUBLISH_SECONDS), before_sleep=prepare, sleep=self._sleep
        )(attempt)

    def _attempt(
        self, batch: Sequence[OutgoingMessage], indices: Sequence[int], rejected: list[int]
    ) -> list[FailedDelivery]:
        """Send the messages with these indices once; returns those to send again, and adds to ``rejected``."""
        failed = self._producer.deliver(batch[index] for index in indices).failed
        again = []
        for one in failed:
            failure = FailedDelivery(indices[one.index], one.topic, one.error)
            kind = classify_error(one.error)
            if kind is ErrorKind.REJECTED:
                rejected.append(failure.index)
            elif kind in _HOPELESS:
                raise DeliveryError(
                    f"the broker does not take messages for {one.topic}: {one.error.str()}; "
                    "`cardwatch schemas apply` creates the topics, and the service needs the right to write to them",
                    one.error.code(),
                )
            else:
                again.append(failure)
        return again

    def _prepare_retry(self, failed: Sequence[FailedDelivery]) -> None:
        """After a failure that may pass: log it, and replace a client that can never send again.

        Raises:
            StoppedError: asked to stop.
        """
        self._count_retry()
        log.warning("messages are sent again", messages=len(failed), error=str(failed[0].error))
        if self._producer.fatal_error is not None or classify_error(failed[0].error) is ErrorKind.FATAL:
            self._producer.replace_client()
        self._producer.check_stopped()
