"""Connects the intake with Kafka and the schema registry, as the settings name them."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from cardwatch_contracts.topics import ALERTS, DEAD_LETTERS
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_service.settings import ServiceSettings
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.timestamps import now_microseconds
from confluent_kafka import Producer

from cardwatch_notifier.intake.dead_letters import KafkaDeadLetters
from cardwatch_notifier.intake.decoding import AlertDecoder
from cardwatch_notifier.intake.kafka_source import KafkaSource, topic_identity
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import Outbox
from cardwatch_notifier.retry import retry_until_stopped

_DEAD_LETTER_TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class IntakeParts:
    """What the intake reads alerts with, and where it keeps messages that are not alerts."""

    source: KafkaSource
    decoder: AlertDecoder
    dead_letters: KafkaDeadLetters


def connect(
    service: ServiceSettings, outbox: Outbox, member: str | None, metrics: NotifierMetrics, shutdown: Shutdown
) -> IntakeParts:
    """Look up the topic and the dead letters' schema, and join the consumer group.

    Args:
        member: the static member id of a notifier that has the outbox to itself; None for one that shares it.

    Raises:
        StoppedError: the stop was requested while the registry or the broker did not answer.
        CardwatchError: there is no such topic or schema.
    """
    retry = partial(retry_until_stopped, stop=shutdown, metrics=metrics)
    kafka, registry, prefix = service.kafka_config(), service.registry(), service.topic_prefix
    topic = ALERTS.name(prefix)
    schema_id = retry("registry", lambda: registry.id_of(DEAD_LETTERS.subject(prefix), "dead_letter"))
    topic_id = retry("kafka", lambda: topic_identity(kafka, topic))
    producer = Producer({**kafka, "acks": "all", "enable.idempotence": True, "log_level": 2})
    dead_letters = KafkaDeadLetters(
        producer,
        DEAD_LETTERS.name(prefix),
        Encoder("dead_letter", schema_id),
        now_microseconds,
        _DEAD_LETTER_TIMEOUT_SECONDS,
    )
    group = service.consumer_group("notifier")
    source = KafkaSource(kafka, topic, topic_id, group, member, outbox.positions, metrics.shared)
    return IntakeParts(source, AlertDecoder(Decoder("alert", registry)), dead_letters)
