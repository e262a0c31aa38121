"""The Kafka sink: idempotent, every delivery report counted, nothing dropped while the broker pauses."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_RAW, Topic
from cardwatch_kafka.configuration import KafkaConfig
from cardwatch_service.logs import get
from cardwatch_service.metrics import Metrics
from cardwatch_service.trace_context import to_headers
from cardwatch_service.tracing import Span, Tracer
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from cardwatch_producer.messages import Headers
from cardwatch_producer.settings import ProducerSettings

_BUFFER_FULL_POLL_SECONDS: Final = 0.1
_REPORT_SECONDS: Final = 5.0
_POLL_EVERY: Final = 200

# A trace is one of a transaction; a label goes no further.
_TRACED: Final = frozenset({TRANSACTIONS_RAW.base_name, TRANSACTIONS_JSON.base_name})

log = get(__name__)


def client_config(kafka: KafkaConfig, settings: ProducerSettings) -> dict[str, Any]:
    """librdkafka's settings."""
    return {
        **kafka,
        "client.id": "cardwatch-producer",
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": settings.compression,
        "linger.ms": settings.linger_ms,
        "batch.size": 262_144,
        "queue.buffering.max.messages": settings.queue_messages,
        "queue.buffering.max.kbytes": 262_144,
        # Never give up on a message: a broker that pauses for an hour gets it after an hour.
        "message.timeout.ms": 0,
        # As Java clients do, so that a key lands where it lands when anybody else sends it.
        "partitioner": "murmur2_random",
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 2_000,
    }


class KafkaSink:
    """Sends messages and counts what the broker acknowledged."""

    def __init__(
        self,
        kafka: KafkaConfig,
        settings: ProducerSettings,
        metrics: Metrics,
        topic_prefix: str = "",
        tracer: Tracer | None = None,
    ) -> None:
        """Does not connect yet; see ``check``."""
        self._tracer = tracer
        self._prefix = topic_prefix
        self._servers = str(kafka.get("bootstrap.servers"))
        self._startup_timeout = settings.startup_timeout_seconds
        self._metrics = metrics
        self._channels: dict[str, _Channel] = {}
        self._since_poll = 0
        self._fatal: str = ""
        self._last_error_logged = float("-inf")
        config = {**client_config(kafka, settings), "error_cb": self._on_error}
        self._producer = Producer(config, logger=logging.getLogger("librdkafka"))

    def check(self, topics: tuple[Topic, ...]) -> None:
        """Connect and see that the topics exist.

        Raises:
            CardwatchError: no broker answers, or a topic is missing.
        """
        for topic in topics:
            name = topic.name(self._prefix)
            try:
                found = self._producer.list_topics(name, timeout=self._startup_timeout).topics[name]
            except KafkaException as error:
                raise CardwatchError(
                    f"no Kafka broker answers at {self._servers}: {error.args[0].str()}; "
                    "CARDWATCH_KAFKA_BOOTSTRAP_SERVERS says where one is"
                ) from error
            if found.error is not None:
                raise CardwatchError(
                    f"there is no topic {name} at {self._servers}: {found.error.str()}; "
                    "`cardwatch schemas apply` creates the topics"
                )

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

    def send(self, topic: Topic, key: bytes, value: bytes | None, headers: Headers | None = None) -> None:
        """Hand a message to the client; waits while its queue is full, however long the broker takes.

        Raises:
            CardwatchError: the client can never send again.
        """
        channel = self._channels.get(topic.base_name) or self._channel(topic)
        report = channel.report
        if self._tracer is not None and topic.base_name in _TRACED:
            span = self._tracer.start_send(channel.name)
            headers = [*(headers or ()), *to_headers(span.context)]
            if span.recording:
                report = channel.ending(span)
        arguments: dict[str, Any] = {"headers": headers} if headers else {}
        while True:
            try:
                self._producer.produce(channel.name, value, key, on_delivery=report, **arguments)
            except BufferError:
                self.poll(_BUFFER_FULL_POLL_SECONDS)
                continue
            except KafkaException as error:
                raise CardwatchError(f"the message cannot be sent to {channel.name}: {error.args[0].str()}") from error
            break
        self._since_poll += 1
        if self._since_poll >= _POLL_EVERY:
            self.poll()

    def poll(self, seconds: float = 0.0) -> None:
        """Take delivery reports, waiting so long for the first.

        Raises:
            CardwatchError: the client can never send again.
        """
        self._since_poll = 0
        self._producer.poll(seconds)
        for channel in self._channels.values():
            channel.count(self._metrics)
        if self._fatal:
            raise CardwatchError(f"the Kafka client cannot go on: {self._fatal}; start the producer again")

    def flush(self) -> None:
        """Wait until every message is acknowledged or refused for good, and say what is outstanding meanwhile.

        Raises:
            CardwatchError: the client can never send again.
        """
        reported = time.monotonic()
        while self.outstanding:
            self.poll(0.2)
            if self.outstanding and time.monotonic() - reported >= _REPORT_SECONDS:
                reported = time.monotonic()
                log.warning("waiting for the broker to acknowledge", outstanding_messages=self.outstanding)
        self.poll()

    def _channel(self, topic: Topic) -> "_Channel":
        channel = _Channel(topic.name(self._prefix))
        self._channels[topic.base_name] = channel
        return channel

    def _on_error(self, error: KafkaError) -> None:
        # The client survives all but fatal ones: it reconnects and sends again.
        self._metrics.errors.labels("broker").inc()
        if error.fatal():
            self._fatal = error.str()
        elif time.monotonic() - self._last_error_logged >= _REPORT_SECONDS:
            self._last_error_logged = time.monotonic()
            log.warning("the broker is in trouble, messages wait", error=error.str(), waiting=self.outstanding)


_Report = Callable[[KafkaError | None, Message], None]


class _Channel:
    """Counts of one topic. Its ``report`` runs once a message: it only counts."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.acknowledged = 0
        self.failed = 0
        self._counted = 0
        self.report: Final[_Report] = self._report

    def ending(self, span: Span) -> "_Report":
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
