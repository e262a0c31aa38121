"""Connects the intake with Kafka and the schema registry, as the settings name them."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.topics import ALERTS, DEAD_LETTERS
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_kafka.configuration import KafkaConfig, producer_config
from cardwatch_kafka.dead_letters import DeadLetterWriter
from cardwatch_kafka.errors import MissingTopicError
from cardwatch_kafka.group_consumer import GroupConsumer
from cardwatch_kafka.lost_offsets import LostOffsets
from cardwatch_kafka.producer import KafkaProducer
from cardwatch_kafka.topic_check import check_topics_at_start
from cardwatch_kafka.topics import topic_id
from cardwatch_service.settings import ServiceSettings
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.timestamps import now_microseconds

from cardwatch_notifier.intake.decoding import AlertDecoder
from cardwatch_notifier.intake.kafka_source import outbox_offsets, source_config
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import Outbox
from cardwatch_notifier.wait_for_dependency import wait_for_dependency

_DEAD_LETTER_SECONDS: Final = 30.0
_LOG_CRITICAL: Final = 2  # failures are reported with the dead letters


@dataclass(frozen=True, slots=True)
class IntakeParts:
    """What the intake reads alerts with, and where it keeps messages that are not alerts.

    Attributes:
        topic_id: the broker's identity of the alerts topic.
    """

    source: GroupConsumer
    topic_id: str
    decoder: AlertDecoder
    dead_letters: DeadLetterWriter


def connect(
    service: ServiceSettings, outbox: Outbox, member: str | None, metrics: NotifierMetrics, shutdown: Shutdown
) -> IntakeParts:
    """Look up the topic and the dead letters' schema, and join the consumer group.

    Args:
        member: the static member id of a notifier that has the outbox to itself; None for one that shares it.

    Raises:
        StoppedError: the stop was requested while the registry or the broker did not answer.
        CardwatchError: there is no such topic or schema, or a topic has settings with which results would be wrong.
    """
    retry = partial(wait_for_dependency, stop=shutdown, metrics=metrics)
    connection, registry, prefix = service.kafka_config(), service.registry(), service.topic_prefix
    topic = ALERTS.name(prefix)
    check_topics_at_start(service, (ALERTS, DEAD_LETTERS), shutdown)
    schema_id = retry("registry", lambda: registry.id_of(DEAD_LETTERS.subject(prefix), "dead_letter"))
    identity = retry("kafka", lambda: _topic_id(connection, topic))
    producer = KafkaProducer(producer_config(connection, {"log_level": _LOG_CRITICAL}))
    encoder = Encoder("dead_letter", schema_id)
    subject = ALERTS.subject(prefix)
    decode = Decoder("alert", registry, subject, on_outage=metrics.shared.registry_outage(subject))
    source = GroupConsumer(
        source_config(connection, service.consumer_group("notifier"), member),
        topic,
        outbox_offsets(outbox, identity, metrics.shared),
        metrics.shared,
        LostOffsets(service.on_lost_offsets, metrics.shared),
    )
    return IntakeParts(
        source=source,
        topic_id=identity,
        decoder=AlertDecoder(decode, now_microseconds, decode.look_up),
        dead_letters=DeadLetterWriter(producer, DEAD_LETTERS.name(prefix), encoder, _DEAD_LETTER_SECONDS),
    )


def _topic_id(connection: KafkaConfig, topic: str) -> str:
    try:
        return topic_id(connection, topic)
    except MissingTopicError as error:
        # Unlike a broker that does not answer, this is not transient.
        raise CardwatchError(str(error)) from error
