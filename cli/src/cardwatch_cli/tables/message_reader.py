"""Decodes the messages in bronze by the schema registry, if one is configured."""

from typing import Final

from cardwatch_contracts.topics import TRANSACTIONS_RAW, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Decoder
from cardwatch_lakehouse.maintenance.message_content import MessageReader
from cardwatch_service.settings import ServiceSettings, load_settings

from cardwatch_cli.connections import current_connections

_TOPICS: Final = (TRANSACTIONS_RAW, TRANSACTIONS_SILVER)


def registered_message_reader() -> MessageReader:
    """A reader that asks the registry of CARDWATCH_SCHEMA_REGISTRY_URL; without that, one that asks none."""
    settings = load_settings(ServiceSettings)
    # A machine with the tables need not reach a registry: the default address is not asked.
    if "schema_registry_url" not in settings.model_fields_set:
        return MessageReader()
    registry = current_connections().registry(settings)
    return MessageReader(
        Decoder(str(topic.schema), registry, topic.subject(settings.topic_prefix)) for topic in _TOPICS
    )
