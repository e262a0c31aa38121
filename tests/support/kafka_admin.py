"""What an operator, or the broker by itself, does to topics and groups: settings, deletions, committed offsets."""

from collections.abc import Mapping

from cardwatch_contracts.topics import Topic
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from support.kafka import TIMEOUT_SECONDS, KafkaTopics
from support.platforms import Platform


class KafkaAdmin:
    """Changes and shows what the broker keeps."""

    def __init__(self, platform: Platform) -> None:
        self._client = AdminClient({"bootstrap.servers": platform.bootstrap_servers})

    def create_topic(self, name: str, partitions: int, settings: Mapping[str, str]) -> None:
        """Create a topic, as somebody did before Cardwatch came."""
        request = NewTopic(name, partitions, 1, config=dict(settings))
        self._client.create_topics([request])[name].result(TIMEOUT_SECONDS)

    def set_topic(self, name: str, settings: Mapping[str, str]) -> None:
        """Change settings of a topic."""
        entries = [
            ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
            for setting, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        self._client.incremental_alter_configs([resource])[resource].result(TIMEOUT_SECONDS)

    def delete_messages(self, topics: KafkaTopics, topic: Topic) -> int:
        """Delete every message that a topic has, as retention does in the end; returns how many offsets that were."""
        ends = topics.end_offsets(topic)
        partitions = [TopicPartition(name, number, end) for (name, number), end in ends.items() if end]
        for future in self._client.delete_records(partitions).values():
            future.result(TIMEOUT_SECONDS)
        return sum(ends.values())

    def committed_offsets(self, group: str) -> dict[tuple[str, int], int]:
        """The offsets that a consumer group has committed."""
        request = [ConsumerGroupTopicPartitions(group)]
        found = self._client.list_consumer_group_offsets(request)[group].result(TIMEOUT_SECONDS).topic_partitions
        return {(one.topic, one.partition): one.offset for one in found}
