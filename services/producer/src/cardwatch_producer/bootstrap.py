"""Wires the producer's parts together: settings, registry, sink, metrics and health endpoint."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_LABELS, TRANSACTIONS_RAW, Topic
from cardwatch_contracts.wire import Encoder
from cardwatch_kafka.topic_check import check_topics_at_start
from cardwatch_service import logs
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.token_settings import TokenSettings, load_token_settings
from cardwatch_service.tracing import tracing

from cardwatch_producer.pacing import Pacer
from cardwatch_producer.settings import ProducerSettings
from cardwatch_producer.sink import KafkaSink

log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Producer:
    """The parts of a running producer."""

    topic_prefix: str
    tokens: TokenSettings
    sink: KafkaSink
    shutdown: Shutdown
    transaction_encoder: Encoder
    label_encoder: Encoder

    def pacer(self) -> Pacer:
        """Create a pacer whose time starts now."""
        return Pacer(wait=self.shutdown.wait, on_wait=self.sink.poll)


@contextmanager
def producer(*, json_topic: bool) -> Iterator[Producer]:
    """Connect to the broker and the registry, serve metrics and health, and close everything at the end.

    Args:
        json_topic: whether the JSON topic is needed as well.

    Raises:
        CardwatchError: a setting is invalid, broker or registry do not answer, a topic or schema is missing, or a topic
            has settings with which results would be wrong.
    """
    settings = load_settings(ServiceSettings)
    tokens = load_token_settings(settings)
    logs.configure_logging("producer", settings.log_level, settings.log_format)
    shutdown = Shutdown().install()
    metrics = Metrics()
    with tracing("cardwatch-producer", metrics) as tracer:
        sink = KafkaSink(
            settings.kafka_config(),
            load_settings(ProducerSettings),
            metrics,
            topic_prefix=settings.topic_prefix,
            tracer=tracer,
        )
        topics = (TRANSACTIONS_RAW, TRANSACTIONS_LABELS, *([TRANSACTIONS_JSON] if json_topic else []))
        sink.require_topics(topic.name(settings.topic_prefix) for topic in topics)
        check_topics_at_start(settings, topics, shutdown)
        registry = settings.registry()

        def encoder(topic: Topic) -> Encoder:
            name = str(topic.schema)
            return Encoder(name, registry.id_of(topic.subject(settings.topic_prefix), name))

        parts = Producer(
            topic_prefix=settings.topic_prefix,
            tokens=tokens,
            sink=sink,
            shutdown=shutdown,
            transaction_encoder=encoder(TRANSACTIONS_RAW),
            label_encoder=encoder(TRANSACTIONS_LABELS),
        )
        endpoint = HealthEndpoint(
            metrics.registry,
            ready=lambda: "the producer was asked to stop" if shutdown.requested else "",
            host=settings.metrics_host,
            port=settings.metrics_port,
        )
        endpoint.start()
        log.info("ready", metrics_port=endpoint.port, topics=[t.name(settings.topic_prefix) for t in topics])
        try:
            yield parts
        finally:
            endpoint.stop()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
