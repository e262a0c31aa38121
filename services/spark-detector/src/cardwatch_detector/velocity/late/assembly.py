"""Puts together what finds and publishes the late transactions of a query."""

from cardwatch_contracts.subject_schemas import SubjectSchemas
from cardwatch_contracts.topics import TRANSACTIONS_LATE, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Decoder
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_service.settings import ServiceSettings

from cardwatch_detector.velocity.kafka_clients import MicroBatchPublisher, silver_reader
from cardwatch_detector.velocity.late.event_times import EventTimeReader
from cardwatch_detector.velocity.late.late_publisher import LatePublisher, LateTopics
from cardwatch_detector.velocity.late.late_search import LateSearch
from cardwatch_detector.velocity.metrics import LateMetrics
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_detector.velocity.token_views import TokenView


def late_publisher(
    service: ServiceSettings, settings: VelocitySettings, metrics: LateMetrics, view: TokenView | None
) -> LatePublisher:
    """The publisher of one query; ``view`` is the query's during a rotation of token keys."""
    kafka, prefix, registry = service.kafka_config(), service.topic_prefix, service.registry()
    scopes, subject = settings.scope_list(), TRANSACTIONS_SILVER.subject(prefix)
    search = LateSearch(
        event_time=EventTimeReader(SubjectSchemas("enriched_transaction", registry, subject)).read,
        decode=Decoder("enriched_transaction", registry, subject),
        keys={scope: SCOPE_KEYS[scope] for scope in scopes},
        horizons_us={scope: settings.horizon_us(scope) for scope in scopes},
        view=view,
    )
    return LatePublisher(
        detector=settings.name,
        topics=LateTopics(TRANSACTIONS_SILVER.name(prefix), TRANSACTIONS_LATE.name(prefix)),
        reader=silver_reader(kafka),
        search=search,
        publisher=MicroBatchPublisher(kafka),
        metrics=metrics,
    )
