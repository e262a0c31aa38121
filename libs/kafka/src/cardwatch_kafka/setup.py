"""The set-up step of a deployment: topics and schemas, before any service starts. Repeating it changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import ALL_TOPICS

from cardwatch_kafka.configuration import KafkaConfig
from cardwatch_kafka.topics import create_topics


@dataclass(frozen=True, slots=True)
class AppliedTopic:
    """What the set-up of one topic did.

    Attributes:
        created: whether it was created now; False if it existed.
        schema_id: the id of its schema, None if its messages are not Avro.
    """

    topic: str
    created: bool
    schema_id: int | None


def apply(
    connection: KafkaConfig,
    registry: ConfluentRegistry,
    topic_prefix: str = "",
    replication_factor: int = -1,
) -> Iterator[AppliedTopic]:
    """Create every topic and register every schema, one result per topic.

    Raises:
        IncompatibleSchemaError: a schema breaks an earlier version.
        RegistryUnavailableError, CardwatchError: registry or broker do not answer.
    """
    created = create_topics(connection, topic_prefix, replication_factor)
    for topic in ALL_TOPICS:
        schema_id = registry.register(topic.subject(topic_prefix), topic.schema) if topic.schema else None
        yield AppliedTopic(topic.name(topic_prefix), created[topic.name(topic_prefix)], schema_id)


def apply_all(bootstrap_servers: str, registry_url: str, topic_prefix: str = "") -> None:
    """``apply`` for an unsecured local broker and registry."""
    for _ in apply({"bootstrap.servers": bootstrap_servers}, ConfluentRegistry(registry_url), topic_prefix):
        pass
