"""What ``cardwatch schemas`` says about topics that exist: how they differ from what Cardwatch needs."""

from collections.abc import Mapping
from typing import Final

import typer
from cardwatch_contracts.topics import ALL_TOPICS, TRANSACTIONS_SILVER
from cardwatch_kafka.configuration import KafkaConfig
from cardwatch_kafka.topic_check import inspect_topics
from cardwatch_service.printable import escape_control_characters
from cardwatch_service.settings import ServiceSettings
from cardwatch_units.timestamps import MICROSECONDS_PER_MILLISECOND

_STOPS: Final = "STOPS A START"
_WARNING: Final = "warning"


def report_topics(settings: ServiceSettings, connection: KafkaConfig, horizons_us: Mapping[str, int]) -> None:
    """Print, per topic, what differs, why it matters and the command that mends it; nothing where nothing differs.

    Args:
        horizons_us: how far back each scope's state reaches, microseconds; messages must be kept for as long.

    Raises:
        KafkaClientError: the broker does not answer.
        ConfigurationError: with a difference results would be wrong, and CARDWATCH_TOPIC_CHECK is ``refuse``.
    """
    needed_ms = max(horizons_us.values(), default=0) // MICROSECONDS_PER_MILLISECOND
    report = inspect_topics(connection, ALL_TOPICS, settings.topic_prefix, {TRANSACTIONS_SILVER.base_name: needed_ms})
    for name in report.missing:
        typer.echo(f"topic {name} does not exist: `cardwatch schemas apply` creates it")
    for problem in report.unreadable:
        _print(f"{_WARNING}: {problem}")
    for difference in report.differences:
        _print(f"{_STOPS if difference.stops else _WARNING}: {difference}")
    if settings.topic_check == "refuse":
        report.require_none_that_stops()


def _print(line: str) -> None:
    typer.echo(escape_control_characters(line))
