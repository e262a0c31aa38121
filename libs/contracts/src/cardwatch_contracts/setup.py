"""The set-up step: topics and schemas, before any service starts. Doing it again changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import ALL_TOPICS

# Settings of a librdkafka client, `bootstrap.servers` at least.
KafkaConfig = dict[str, str | int | float | bool]

_TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Applied:
    """What one topic's set-up did: created it or found it, and the id of its schema (None: not Avro)."""

    topic: str
    created: bool
    schema_id: int | None


def create_topics(kafka_config: KafkaConfig, topic_prefix: str = "", replication_factor: int = -1) -> dict[str, bool]:
    """Create the topics that do not exist yet: topic name → whether it was created now.

    Args:
        kafka_config: librdkafka client settings, ``bootstrap.servers`` at least.
        replication_factor: -1 takes the broker's default.

    Raises:
        CardwatchError: the broker does not answer or refuses a topic.
    """
    # Whatever it fails with is raised here: no need for its own lines on standard error.
    admin = AdminClient({**kafka_config, "log_level": 2})
    requests = [
        NewTopic(topic.name(topic_prefix), topic.partitions, replication_factor, config=dict(topic.config))
        for topic in ALL_TOPICS
    ]
    created: dict[str, bool] = {}
    for name, future in admin.create_topics(requests, request_timeout=_TIMEOUT_SECONDS).items():
        try:
            future.result(_TIMEOUT_SECONDS)
            created[name] = True
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise CardwatchError(f"topic {name} cannot be created: {error.args[0].str()}") from error
            created[name] = False
        except TimeoutError as error:
            raise CardwatchError(
                f"the broker at {kafka_config.get('bootstrap.servers')} did not create {name} "
                f"within {_TIMEOUT_SECONDS:.0f} s; is it up?"
            ) from error
    return created


def apply(
    kafka_config: KafkaConfig,
    registry: ConfluentRegistry,
    topic_prefix: str = "",
    replication_factor: int = -1,
) -> Iterator[Applied]:
    """Create every topic and register every schema, one result a topic.

    Raises:
        IncompatibleSchemaError: a schema breaks an earlier version.
        RegistryUnavailableError, CardwatchError: registry or broker do not answer.
    """
    created = create_topics(kafka_config, topic_prefix, replication_factor)
    for topic in ALL_TOPICS:
        schema_id = registry.register(topic.subject(topic_prefix), topic.schema) if topic.schema else None
        yield Applied(topic.name(topic_prefix), created[topic.name(topic_prefix)], schema_id)


def apply_all(bootstrap_servers: str, registry_url: str, topic_prefix: str = "") -> None:
    """``apply`` for an unsecured local broker and registry."""
    for _ in apply({"bootstrap.servers": bootstrap_servers}, ConfluentRegistry(registry_url), topic_prefix):
        pass
