"""Puts together what publishes the late transactions of a query."""

from cardwatch_contracts.topics import TRANSACTIONS_LATE, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Decoder
from cardwatch_service.settings import ServiceSettings

from cardwatch_detector.velocity.kafka_clients import MicroBatchPublisher, silver_reader
from cardwatch_detector.velocity.late.late_publisher import LatePublisher, LateTopics
from cardwatch_detector.velocity.metrics import LateMetrics
from cardwatch_detector.velocity.settings import VelocitySettings


def late_publisher(service: ServiceSettings, settings: VelocitySettings, metrics: LateMetrics) -> LatePublisher:
    """The publisher of one query."""
    kafka, prefix = service.kafka_config(), service.topic_prefix
    return LatePublisher(
        detector=settings.name,
        topics=LateTopics(TRANSACTIONS_SILVER.name(prefix), TRANSACTIONS_LATE.name(prefix)),
        reader=silver_reader(kafka),
        decode=Decoder("enriched_transaction", service.registry(), TRANSACTIONS_SILVER.subject(prefix)),
        publisher=MicroBatchPublisher(kafka),
        metrics=metrics,
    )
