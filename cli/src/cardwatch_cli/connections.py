"""How commands reach broker and registry. Tests run the application with ``Connections`` of their own as ``obj``."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_rulebook.connect import Stores, open_stores
from cardwatch_rulebook.kafka_log import KafkaLog
from cardwatch_rulebook.principal import Principal, principal_of
from cardwatch_service.settings import KafkaConfig, ServiceSettings

from cardwatch_cli.context import current_context


class AppendOnlyLog(Protocol):
    """A topic that messages are appended to."""

    def append(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Append messages (key and value) and wait until the broker has them."""

    def close(self) -> None:
        """Disconnect."""


@dataclass(frozen=True, slots=True)
class Connections:
    """Functions that connect.

    Attributes:
        open_stores: opens the stores of rules, lists and statuses.
        open_log: opens a topic to append to, by its name.
        registry: the client of the schema registry.
        principal: as whom commands make changes.
    """

    open_stores: Callable[[ServiceSettings], AbstractContextManager[Stores]] = open_stores
    open_log: Callable[[KafkaConfig, str], AppendOnlyLog] = KafkaLog
    registry: Callable[[ServiceSettings], ConfluentRegistry] = ServiceSettings.registry
    principal: Callable[[ServiceSettings], Principal] = principal_of


def current_connections() -> Connections:
    """The connections of the command that is running."""
    return current_context().connections or Connections()
