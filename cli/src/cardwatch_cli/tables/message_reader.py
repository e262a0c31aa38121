"""Decodes the messages in bronze by the schema registry, if one is configured."""

from typing import Final

from cardwatch_contracts.registry import Registry
from cardwatch_contracts.wire import Decoder
from cardwatch_lakehouse.maintenance.message_content import MessageReader
from cardwatch_service.settings import ServiceSettings, load_settings

from cardwatch_cli.connections import current_connections

_SCHEMAS: Final = ("transaction", "enriched_transaction")


def registered_message_reader() -> MessageReader:
    """A reader that asks the registry of CARDWATCH_SCHEMA_REGISTRY_URL; without that, one that asks none."""
    settings = load_settings(ServiceSettings)
    # A machine with the tables need not reach a registry: the default address is not asked.
    if "schema_registry_url" not in settings.model_fields_set:
        return MessageReader()
    registry = _RememberingRegistry(current_connections().registry(settings))
    return MessageReader(Decoder(name, registry) for name in _SCHEMAS)


class _RememberingRegistry:
    """A registry that is asked once for each schema id, whether it knows it or not."""

    def __init__(self, registry: Registry) -> None:
        self._registry: Final = registry
        self._answers: Final[dict[int, str | None]] = {}

    def schema_by_id(self, schema_id: int) -> str | None:
        if schema_id not in self._answers:
            self._answers[schema_id] = self._registry.schema_by_id(schema_id)
        return self._answers[schema_id]

    def id_of(self, subject: str, schema_name: str) -> int:
        return self._registry.id_of(subject, schema_name)
