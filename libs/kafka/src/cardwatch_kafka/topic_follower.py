"""Follows topics from their beginning, without joining a consumer group or committing an offset."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError
from confluent_kafka import TopicPartition as ClientTopicPartition

from cardwatch_kafka.configuration import CLIENT_LOGGER, KafkaConfig, consumer_config
from cardwatch_kafka.errors import ErrorKind, classify_error, describe_error
from cardwatch_kafka.messages import ReceivedMessage, TopicPartition
from cardwatch_kafka.polling import poll_messages, received_message

_MESSAGES_PER_POLL: Final = 1_000


@dataclass(frozen=True, slots=True)
class FollowedBatch:
    """The result of one poll.

    Attributes:
        messages: in order within a partition.
        at_end: topics of which a partition's end was reached; each time it is reached again.
        problem: one sentence, where there is one: what is wrong with the connection.
    """

    messages: tuple[ReceivedMessage, ...] = ()
    at_end: frozenset[str] = field(default_factory=frozenset)
    problem: str = ""


class TopicFollower:
    """Reads partitions from the first offset on, and then the messages that are appended. For one thread."""

    def __init__(
        self,
        connection: KafkaConfig,
        name: str,
        partitions: Iterable[TopicPartition],
        overrides: Mapping[str, Any] | None = None,
        *,
        make_client: Callable[..., Any] = Consumer,
    ) -> None:
        """
        Args:
            connection: ``bootstrap.servers`` and security.
            name: used as the consumer group that librdkafka requires; the group is never joined.
            overrides: the service's own settings of librdkafka.
            make_client: creates the client; tests pass a fake.
        """
        self._servers: Final = connection.get("bootstrap.servers")
        self._problem = ""
        wanted = [ClientTopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in partitions]
        self._topics: Final = frozenset(one.topic for one in wanted)
        # The first offset may be any: retention, or a person, may have deleted what was there. If that happens while it
        # follows, it goes on with the first message that is left, never with the end.
        own = {
            **(overrides or {}),
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "error_cb": self._on_error,
        }
        self._client: Final = make_client(consumer_config(connection, name, own), logger=CLIENT_LOGGER)
        self._client.assign(wanted)

    @property
    def topics(self) -> frozenset[str]:
        """The topics that are followed."""
        return self._topics

    def poll(self, timeout_seconds: float) -> FollowedBatch:
        """The messages that have arrived, as soon as there is one; an empty batch after the timeout. Outages raise
        nothing.
        """
        received: list[ReceivedMessage] = []
        at_end: set[str] = set()
        self._problem = ""
        for message in poll_messages(self._client, timeout_seconds, _MESSAGES_PER_POLL):
            error = message.error()
            if error is None:
                received.append(received_message(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end.add(str(message.topic()))
            else:
                self._on_message_error(error, str(message.topic()))
        return FollowedBatch(tuple(received), frozenset(at_end), self._problem)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def _on_message_error(self, error: KafkaError, topic: str) -> None:
        missing = classify_error(error) is ErrorKind.MISSING_TOPIC
        self._problem = describe_error(error, "read", topic=topic, servers=self._servers) if missing else error.str()

    def _on_error(self, error: KafkaError) -> None:
        self._problem = error.str()
