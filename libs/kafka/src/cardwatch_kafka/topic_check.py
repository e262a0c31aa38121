"""Asks the broker how topics are set, and compares them with what Cardwatch needs: at every start, and on request."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.topics import Topic
from cardwatch_service.logs import get_logger
from cardwatch_service.retry import Stop, StoppedError, retry_until_stopped
from cardwatch_service.settings import ServiceSettings
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from cardwatch_kafka.configuration import KafkaConfig, admin_config
from cardwatch_kafka.errors import (
    BrokerUnavailableError,
    ErrorKind,
    MissingTopicError,
    classify_error,
    kafka_error,
    translate_error,
)
from cardwatch_kafka.topic_settings import Cluster, ExistingTopic, TopicDifference, compare_topic

log = get_logger(__name__)

_ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The result of a comparison.

    Attributes:
        differences: of the topics that exist; those that stop a service come first.
        missing: full names of topics that do not exist.
        unreadable: a sentence for each topic whose settings the client may not read.
    """

    differences: Sequence[TopicDifference] = ()
    missing: Sequence[str] = ()
    unreadable: Sequence[str] = ()

    def require_none_that_stops(self) -> None:
        """Check that no difference would make results wrong.

        Raises:
            ConfigurationError: there are some; the sentence names all of them.
        """
        stopping = [str(one) for one in self.differences if one.stops]
        if stopping:
            raise ConfigurationError(
                f"{'; '.join(stopping)}. CARDWATCH_TOPIC_CHECK=warn starts nevertheless, and logs the differences"
            )


def inspect_topics(
    connection: KafkaConfig, topics: Iterable[Topic], prefix: str = "", needed_ms: Mapping[str, int] | None = None
) -> TopicReport:
    """Compare topics with what Cardwatch needs of them.

    Args:
        connection: librdkafka client settings, ``bootstrap.servers`` at least.
        needed_ms: by base name, how long messages must be kept at least, milliseconds; see ``compare_topic``.

    Raises:
        KafkaClientError: the broker does not answer.
    """
    admin = AdminClient(admin_config(connection))
    servers = str(connection.get("bootstrap.servers"))
    cluster = Cluster(_broker_count(admin, servers), servers)
    found = _Findings()
    wanted = {topic.name(prefix): topic for topic in topics}
    resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in wanted}
    described = admin.describe_topics(TopicCollection(list(wanted)), request_timeout=_ANSWER_SECONDS)
    settings = admin.describe_configs(list(resources.values()), request_timeout=_ANSWER_SECONDS)
    for name, topic in wanted.items():
        try:
            existing = _existing_topic(name, described[name], settings[resources[name]], servers)
        except MissingTopicError:
            found.missing.append(name)
        except PermissionError as error:
            found.unreadable.append(str(error))
        else:
            needed = (needed_ms or {}).get(topic.base_name, 0)
            found.differences += compare_topic(topic, existing, cluster, needed_ms=needed)
    found.differences.sort(key=lambda one: not one.stops)
    return TopicReport(found.differences, found.missing, found.unreadable)


def check_topics_at_start(
    settings: ServiceSettings, topics: Iterable[Topic], stop: Stop, needed_ms: Mapping[str, int] | None = None
) -> None:
    """Log how a service's topics differ from what it needs, and refuse to start with those that make results wrong.

    Waits for a broker that does not answer. Topics that are missing are left to the service's own clients.

    Args:
        topics: those that the service reads and writes.
        stop: ends the waiting.
        needed_ms: as for ``inspect_topics``.

    Raises:
        ConfigurationError: a difference would make results wrong, and CARDWATCH_TOPIC_CHECK is ``refuse``.
        StoppedError: the service was asked to stop while it waited.
    """
    if settings.topic_check == "off":
        return
    wanted = tuple(topics)
    try:
        report = retry_until_stopped(
            lambda: inspect_topics(settings.kafka_config(), wanted, settings.topic_prefix, needed_ms),
            errors=(BrokerUnavailableError,),
            stop=stop,
            before_pause=lambda error, _: log.warning("waiting for the Kafka broker", error=str(error)),
        )
    except StoppedError as error:
        raise StoppedError("stopped while waiting for the Kafka broker") from error
    for problem in report.unreadable:
        log.warning("a topic's settings were not checked", problem=problem)
    for difference in report.differences:
        log.warning(
            "a topic is not as it should be", topic=difference.topic, setting=difference.setting,
            expected=difference.expected, found=difference.found, why=difference.consequence.why, mend=difference.mend,
        )  # fmt: skip
    if settings.topic_check == "refuse":
        report.require_none_that_stops()


@dataclass(slots=True)
class _Findings:
    differences: list[TopicDifference] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def _broker_count(admin: Any, servers: str) -> int:
    """The number of brokers; 0 where the client may not know."""
    try:
        return len(admin.describe_cluster(request_timeout=_ANSWER_SECONDS).result(_ANSWER_SECONDS + 1).nodes)
    except KafkaException as error:
        if classify_error(kafka_error(error)) is ErrorKind.UNAVAILABLE:
            raise translate_error(error, "described", topic="(the cluster)", servers=servers) from error
        return 0


def _existing_topic(name: str, described: Any, settings: Any, servers: str) -> ExistingTopic:
    """A topic with all settings in effect.

    Args:
        described, settings: what the broker will answer.

    Raises:
        MissingTopicError: there is none.
        PermissionError: the client may not read its settings.
        KafkaClientError: the broker does not answer.
    """
    try:
        partitions = described.result(_ANSWER_SECONDS + 1).partitions
        entries = settings.result(_ANSWER_SECONDS + 1)
    except KafkaException as error:
        if classify_error(kafka_error(error)) is ErrorKind.FORBIDDEN:
            raise PermissionError(
                f"the settings of topic {name} at {servers} may not be read: {kafka_error(error).str()}; grant the "
                "service's user Describe and DescribeConfigs on it"
            ) from error
        raise translate_error(error, "described", topic=name, servers=servers) from error
    return ExistingTopic(
        name,
        len(partitions),
        min((len(partition.replicas) for partition in partitions), default=0),
        {entry: value.value for entry, value in entries.items() if value.value is not None},
    )
