"""The producer: idempotent, waits while its queue is full, and reports what the broker acknowledged.

``send`` is for a stream of messages: the caller counts delivery reports. ``deliver`` is for a batch: it waits until
the broker has answered for each message. ``publisher.BatchPublisher`` repeats a batch until all of it is acknowledged.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from cardwatch_kafka.configuration import CLIENT_LOGGER
from cardwatch_kafka.errors import (
    DeliveryError,
    ProducerFatalError,
    StoppedError,
    describe_error,
    kafka_error,
)
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_kafka.topics import require_topic

DeliveryReport = Callable[[KafkaError | None, Message], None]
MakeClient = Callable[..., Any]

_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """A message that the broker did not accept. ``index`` is its position in the batch."""

    index: int
    topic: str
    error: KafkaError


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The result of a batch.

    Attributes:
        sent: how many messages the batch had.
        unanswered: the number of messages without a delivery report before the timeout.
    """

    sent: int
    failed: Sequence[FailedDelivery] = field(default_factory=tuple)
    unanswered: int = 0

    def require_all(self, servers: object) -> None:
        """Check that every message was acknowledged.

        Raises:
            DeliveryError: some were not; names the first reason.
        """
        missing = len(self.failed) + self.unanswered
        if not missing:
            return
        if not self.failed:
            raise DeliveryError(f"{missing} of {self.sent} messages were not acknowledged by {servers} in time")
        first = self.failed[0]
        why = describe_error(first.error, "written to", topic=first.topic, servers=servers)
        raise DeliveryError(f"{missing} of {self.sent} messages were not published: {why}", first.error.code())


class KafkaProducer:
    """Sends messages with librdkafka. Not for use from several threads."""

    def __init__(
        self,
        config: dict[str, Any],
        *,
        stopped: Callable[[], bool] = lambda: False,
        on_error: Callable[[KafkaError], None] = lambda error: None,
        make_client: MakeClient = Producer,
    ) -> None:
        """Create the client. It connects in the background.

        Args:
            config: as ``configuration.producer_config`` returns it.
            stopped: whether to give up waiting for the broker.
            on_error: called with each error of the client, which survives all but fatal ones.
            make_client: creates the client; tests pass a fake.
        """
        self._config: Final = {**config, "error_cb": self._on_error}
        self._stopped: Final = stopped
        self._report_error: Final = on_error
        self._make_client: Final = make_client
        self._fatal: KafkaError | None = None
        self._client = make_client(self._config, logger=CLIENT_LOGGER)

    @property
    def servers(self) -> str:
        """The brokers' addresses."""
        return str(self._config.get("bootstrap.servers"))

    @property
    def fatal_error(self) -> KafkaError | None:
        """Why the client can never send again, None while it can."""
        return self._fatal

    def __len__(self) -> int:
        """Messages that were sent and are not acknowledged yet."""
        return len(self._client)

    def require_topic(self, topic: str, timeout_seconds: float) -> None:
        """Check that the broker answers and has a topic.

        Raises:
            KafkaClientError: it does not, see ``errors``.
        """
        require_topic(self._client, topic, timeout_seconds=timeout_seconds, servers=self.servers)

    def send(
        self, message: OutgoingMessage, on_delivery: DeliveryReport, *, timeout_seconds: float = float("inf")
    ) -> None:
        """Give a message to the client; waits while its queue is full, but not longer than ``timeout_seconds``.

        Raises:
            KafkaException: the client refuses the message at once.
            DeliveryError: the queue is full for ``timeout_seconds``.
            ProducerFatalError: the queue is full and the client can never send again.
            StoppedError: asked to stop while the queue is full.
        """
        topic, key, value, headers, partition = message
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                self._client.produce(
                    topic, value, key, partition, on_delivery=on_delivery, headers=list(headers) if headers else None
                )
            except BufferError:  # librdkafka's queue is full: wait for delivery reports, which empty it
                self.check_stopped()
                if time.monotonic() >= deadline:
                    raise DeliveryError(f"the queue of messages for {self.servers} is full") from None
                self.poll(_POLL_SECONDS)
                self.check_usable()
            else:
                return

    def check_usable(self) -> None:
        """Check that the client can still send.

        Raises:
            ProducerFatalError: it can never send again.
        """
        if self._fatal is not None:
            why = describe_error(self._fatal, "written to", topic="", servers=self.servers)
            raise ProducerFatalError(why, self._fatal.code()) from None

    def poll(self, seconds: float = 0.0) -> None:
        """Run the callbacks of the delivery reports that have arrived, waiting up to ``seconds`` for the first."""
        self._client.poll(seconds)

    def flush(self, seconds: float) -> int:
        """Wait for delivery reports, but not longer than ``seconds``; returns how many are still missing."""
        return int(self._client.flush(seconds))

    def deliver(self, messages: Iterable[OutgoingMessage], timeout_seconds: float = float("inf")) -> DeliveryResult:
        """Send messages and wait until the broker has answered for each of them, or for ``timeout_seconds``.

        It also waits so long at most for room in the client's queue; messages for which there is none are unanswered.

        Raises:
            StoppedError: asked to stop while waiting.
        """
        reports: dict[int, tuple[str, KafkaError] | None] = {}
        sent = 0
        rest = iter(messages)
        for index, message in enumerate(rest):
            sent += 1
            try:
                self.send(message, partial(_report, reports, index, message.topic), timeout_seconds=timeout_seconds)
            except KafkaException as exception:
                reports[index] = message.topic, kafka_error(exception)
            except ProducerFatalError:
                assert self._fatal is not None
                reports[index] = message.topic, self._fatal
            except DeliveryError:
                sent += sum(1 for _ in rest)
                timeout_seconds = 0.0
        deadline = time.monotonic() + timeout_seconds
        while len(reports) < sent and (left := deadline - time.monotonic()) > 0:
            self.check_stopped()
            self.flush(min(_POLL_SECONDS, left))
        failed = [FailedDelivery(index, *report) for index, report in reports.items() if report is not None]
        return DeliveryResult(sent, sorted(failed, key=lambda one: one.index), sent - len(reports))

    def replace_client(self) -> None:
        """Replace a client that can never send again by a new one."""
        self._fatal = None
        self._client = self._make_client(self._config, logger=CLIENT_LOGGER)

    def check_stopped(self) -> None:
        """Give up if the service was asked to stop.

        Raises:
            StoppedError: it was.
        """
        if self._stopped():
            raise StoppedError("stopped before the broker acknowledged everything; it is repeated after a restart")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error
        self._report_error(error)


def _report(
    reports: dict[int, tuple[str, KafkaError] | None],
    index: int,
    topic: str,
    error: KafkaError | None,
    _message: Message,
) -> None:
    reports[index] = None if error is None else (topic, error)
