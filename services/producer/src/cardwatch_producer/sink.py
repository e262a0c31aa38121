"""The Kafka sink: every delivery report is counted, and nothing is dropped while the broker pauses."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_RAW
from cardwatch_kafka.configuration import KafkaConfig, producer_config
from cardwatch_kafka.errors import translate_error
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_kafka.producer import DeliveryReport, KafkaProducer
from cardwatch_service.logs import get_logger
from cardwatch_service.metrics import Metrics
from cardwatch_service.trace_context import to_headers
from cardwatch_service.tracing import Span, Tracer
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from cardwatch_producer.settings import ProducerSettings

_REPORT_SECONDS: Final = 5.0
_MESSAGES_PER_POLL: Final = 200

# A trace belongs to a transaction; labels carry none.
_TRACED: Final = (TRANSACTIONS_RAW, TRANSACTIONS_JSON)

log = get_logger(__name__)


def client_settings(settings: ProducerSettings) -> dict[str, Any]:
    """The producer's own settings of librdkafka."""
    return {
        "client.id": "cardwatch-producer",
        "compression.type": settings.compression,
        "linger.ms": settings.linger_ms,
        "batch.size": 262_144,
        "queue.buffering.max.messages": settings.queue_messages,
        "queue.buffering.max.kbytes": 262_144,
        # Never give up on a message: a broker that pauses for an hour gets it after an hour.
        "message.timeout.ms": 0,
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 2_000,
    }


class KafkaSink:
    """Sends messages and counts what the broker acknowledged."""

    def __init__(
        self,
        connection: KafkaConfig,
        settings: ProducerSettings,
        metrics: Metrics,
        *,
        topic_prefix: str = "",
        tracer: Tracer | None = None,
        make_client: Callable[..., Any] = Producer,
    ) -> None:
        """Create the client, which connects in the background; ``require_topics`` waits for it.

        Args:
            topic_prefix: the deployment's, put before the names of the topics whose messages are traced.
            tracer: None where traces are off.
            make_client: creates the client; tests pass a fake.
        """
        self._tracer: Final = tracer
        self._traced: Final = frozenset(topic.name(topic_prefix) for topic in _TRACED)
        self._startup_timeout_seconds: Final = settings.startup_timeout_seconds
        self._metrics: Final = metrics
        self._channels: dict[str, _Channel] = {}
        self._since_poll = 0
        self._last_error_logged = float("-inf")
        self._producer: Final = KafkaProducer(
            producer_config(connection, client_settings(settings)), on_error=self._on_error, make_client=make_client
        )

    def require_topics(self, topics: Iterable[str]) -> None:
        """Connect and check that the topics exist.

        Raises:
            KafkaClientError: no broker answers, or a topic is missing.
        """
        for topic in topics:
            self._producer.require_topic(topic, self._startup_timeout_seconds)

    @property
    def acknowledged(self) -> dict[str, int]:
        """Messages that the broker has acknowledged, by topic (its full name)."""
        return {channel.name: channel.acknowledged for channel in self._channels.values()}

    @property
    def failed(self) -> int:
        """Messages that the broker refused for good."""
        return sum(channel.failed for channel in self._channels.values())

    @property
    def outstanding(self) -> int:
        """Messages sent and not acknowledged yet."""
        return len(self._producer)

    def send(self, message: OutgoingMessage) -> None:
        """Give a message to the client; waits while its queue is full, however long the broker takes.

        Raises:
            KafkaClientError: the message cannot be sent, or the client can never send again.
        """
        channel = self._channels.get(message.topic) or self._channel(message.topic)
        report = channel.report
        if self._tracer is not None and message.topic in self._traced:
            span = self._tracer.start_send(channel.name)
            message = message._replace(headers=[*message.headers, *to_headers(span.context)])
            if span.recording:
                report = channel.ending(span)
        try:
            self._producer.send(message, report)
        except KafkaException as error:
            raise translate_error(error, "written to", topic=message.topic, servers=self._producer.servers) from error
        self._since_poll += 1
        if self._since_poll >= _MESSAGES_PER_POLL:
            self.poll()

    def poll(self, seconds: float = 0.0) -> None:
        """Take delivery reports, waiting up to ``seconds`` for the first.

        Raises:
            ProducerFatalError: the client can never send again.
        """
        self._since_poll = 0
        self._producer.poll(seconds)
        for channel in self._channels.values():
            channel.count(self._metrics)
        self._producer.check_usable()

    def flush(self) -> None:
        """Wait until every message is acknowledged or refused for good; logs meanwhile how many are outstanding.

        Raises:
            ProducerFatalError: the client can never send again.
        """
        reported = time.monotonic()
        while self.outstanding:
            self.poll(0.2)
            if self.outstanding and time.monotonic() - reported >= _REPORT_SECONDS:
                reported = time.monotonic()
                log.warning("waiting for the broker to acknowledge", outstanding_messages=self.outstanding)
        self.poll()

    def _channel(self, topic: str) -> "_Channel":
        channel = self._channels[topic] = _Channel(topic)
        return channel

    def _on_error(self, error: KafkaError) -> None:
        # The client survives all but fatal errors: it reconnects and sends again.
        self._metrics.errors.labels("broker").inc()
        if not error.fatal() and time.monotonic() - self._last_error_logged >= _REPORT_SECONDS:
            self._last_error_logged = time.monotonic()
            log.warning("the broker cannot be reached, messages wait", error=error.str(), waiting=self.outstanding)


class _Channel:
    """Counts of one topic. Its ``report`` is called for each message: it only counts."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.acknowledged = 0
        self.failed = 0
        self._counted = 0
        self.report: Final[DeliveryReport] = self._report

    def ending(self, span: Span) -> DeliveryReport:
        """A report that also ends the span of its message."""

        def report(error: KafkaError | None, message: Message) -> None:
            self._report(error, message)
            partition, offset = message.partition(), message.offset()
            if error is None and partition is not None and offset is not None:
                span.set_offset(partition, offset)
            span.end("" if error is None else error.name())

        return report

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acknowledged += 1
            return
        self.failed += 1
        log.error("the broker refused a message", topic=self.name, error=error.str())

    def count(self, metrics: Metrics) -> None:
        """Bring the metric up to date."""
        if self.acknowledged != self._counted:
            metrics.published.labels(self.name).inc(self.acknowledged - self._counted)
            self._counted = self.acknowledged
