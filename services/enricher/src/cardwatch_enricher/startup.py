"""Prepares the enricher's start: settings, logs, health, the topics' settings, the ids of the schemas to write with."""

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.topics import DEAD_LETTERS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER, Topic
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_kafka.dead_letters import ReportInternalError
from cardwatch_kafka.errors import StoppedError
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_kafka.topic_check import check_topics_at_start
from cardwatch_service import logs, retry
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.metrics import Metrics
from cardwatch_service.progress_watch import ProgressWatch
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.token_settings import TokenSettings, load_token_settings

from cardwatch_enricher.settings import EnricherSettings
from cardwatch_enricher.stream.batch_processor import Target, Targets

_TOPICS: Final = (TRANSACTIONS_RAW, TRANSACTIONS_JSON, TRANSACTIONS_SILVER, DEAD_LETTERS)

log = logs.get_logger(__name__)


class Settings(NamedTuple):
    """All settings of the enricher."""

    service: ServiceSettings
    enricher: EnricherSettings
    tokens: TokenSettings


class RawTopics(NamedTuple):
    """Full names of the topics that the enricher reads."""

    avro: str
    json: str


def raw_topics(service: ServiceSettings) -> RawTopics:
    """The topics that the enricher reads, with the deployment's prefix."""
    return RawTopics(TRANSACTIONS_RAW.name(service.topic_prefix), TRANSACTIONS_JSON.name(service.topic_prefix))


def load_enricher_settings() -> Settings:
    """The settings from the environment. Configures the logs: of Faust and aiokafka warnings only, unless debugging.

    Raises:
        ConfigurationError: a setting is wrong, or the token key is the development key and the broker is elsewhere.
    """
    service = load_settings(ServiceSettings)
    settings = Settings(service, load_settings(EnricherSettings), load_token_settings(service))
    logs.configure_logging("enricher", service.log_level, service.log_format)
    if service.log_level != "DEBUG":
        for name in ("faust", "mode", "aiokafka", "httpx", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)
    return settings


def start_health_endpoint(
    service: ServiceSettings, metrics: Metrics, *, healthy: Callable[[], str], ready: Callable[[], str]
) -> HealthEndpoint:
    """The running endpoint of metrics and health; the checks return why the enricher is not healthy or ready."""
    endpoint = HealthEndpoint(
        metrics.registry, healthy=healthy, ready=ready, host=service.metrics_host, port=service.metrics_port
    )
    endpoint.start()
    log.info("starting", address=f"{service.metrics_host}:{endpoint.port}")
    return endpoint


def transaction_decoder(service: ServiceSettings, registry: Registry, metrics: Metrics) -> Decoder:
    """Decodes the Avro messages that the enricher reads; outages of the registry are in the metrics."""
    subject = TRANSACTIONS_RAW.subject(service.topic_prefix)
    return Decoder("transaction", registry, subject, on_outage=metrics.registry_outage(subject))


def prepare_topics(service: ServiceSettings, registry: Registry, shutdown: Shutdown) -> Targets:
    """Check the topics' settings, and look up what is needed to write to them; waits for broker and registry.

    Raises:
        ConfigurationError: a topic has settings with which results would be wrong.
        IncompatibleSchemaError: a topic's schema is not registered.
        StoppedError: the service was asked to stop while waiting.
    """
    check_topics_at_start(service, _TOPICS, shutdown)
    return Targets(
        silver=_wait_for_target(TRANSACTIONS_SILVER, service.topic_prefix, registry, shutdown),
        dead_letters=_wait_for_target(DEAD_LETTERS, service.topic_prefix, registry, shutdown),
    )


def _wait_for_target(topic: Topic, prefix: str, registry: Registry, shutdown: Shutdown) -> Target:
    """A topic to write to and the encoder of its records; waits for a registry that does not answer.

    Raises:
        IncompatibleSchemaError: the topic's schema is not registered.
        StoppedError: the service was asked to stop while waiting.
    """
    schema = topic.schema
    assert schema is not None, f"{topic.base_name} has no schema"
    try:
        schema_id = retry.retry_until_stopped(
            lambda: registry.id_of(topic.subject(prefix), schema),
            errors=(RegistryUnavailableError,),
            stop=shutdown,
            before_pause=lambda error, _: log.warning("waiting for the schema registry", error=str(error)),
        )
    except retry.StoppedError as error:
        raise StoppedError("stopped while waiting for the schema registry") from error
    return Target(topic.name(prefix), Encoder(schema, schema_id))


def publish_retry_report(metrics: Metrics, watch: ProgressWatch) -> Callable[[], None]:
    """Counts each time that messages are sent again, which is a sign of life."""

    def report() -> None:
        metrics.errors.labels("publish_retried").inc()
        watch.report_alive()

    return report


def internal_error_report(metrics: Metrics) -> ReportInternalError:
    """Counts and logs each message that the enricher fails on."""

    def report(message: ReceivedMessage, error_type: str, where: str) -> None:
        metrics.errors.labels("internal_error").inc()
        log.error(
            "internal error: a message could not be processed and is kept as a dead letter",
            topic=message.topic, partition=message.partition, offset=message.offset, error=error_type, where=where,
        )  # fmt: skip

    return report
