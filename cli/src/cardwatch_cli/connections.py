"""How commands reach broker and registry. Tests run the application with ``Connections`` of their own as ``obj``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_kafka.range_reader import RangeReader
from cardwatch_rulebook.connect import Stores, open_stores
from cardwatch_rulebook.kafka_log import READER_NAME, KafkaLog
from cardwatch_rulebook.principal import Principal, principal_of
from cardwatch_service.settings import KafkaConfig, ServiceSettings

from cardwatch_cli.context import current_context


class AppendOnlyLog(Protocol):
    """A topic that messages are appended to."""

    def append(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Append messages (key and value) and wait until the broker has them."""

    def close(self) -> None:
        """Disconnect."""


class TopicReader(Protocol):
    """Reads whole topics."""

    def partitions(self, topic: str) -> list[int]:
        """The numbers of a topic's partitions."""

    def read_all(self, topic: str) -> Iterator[ReceivedMessage]:
        """Every message that a topic holds now, in order within a partition."""

    def close(self) -> None:
        """Disconnect."""


def _topic_reader(settings: ServiceSettings) -> TopicReader:
    return RangeReader(settings.kafka_config(), READER_NAME)


@dataclass(frozen=True, slots=True)
class Connections:
    """Functions that connect.

    Attributes:
        open_stores: opens the stores of rules, lists and statuses; with copies, as they were and are.
        open_log: opens a topic to append to, by its name.
        registry: the client of the schema registry.
        principal: as whom commands make changes.
        topic_reader: reads topics from their beginning to their end.
    """

    open_stores: Callable[..., AbstractContextManager[Stores]] = open_stores
    open_log: Callable[[KafkaConfig, str], AppendOnlyLog] = KafkaLog
    registry: Callable[[ServiceSettings], ConfluentRegistry] = ServiceSettings.registry
    principal: Callable[[ServiceSettings], Principal] = principal_of
    topic_reader: Callable[[ServiceSettings], TopicReader] = _topic_reader


def current_connections() -> Connections:
    """The connections of the command that is running."""
    return current_context().connections or Connections()
