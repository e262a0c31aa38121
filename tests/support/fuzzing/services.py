"""The services that fuzzed messages run through, on the topics of one prefix."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cardwatch_contracts.topics import (
    ALERTS,
    ALERTS_FEEDBACK,
    CARD_PROFILES,
    DEAD_LETTERS,
    LISTS,
    RULES,
    TRANSACTIONS_JSON,
    TRANSACTIONS_LATE,
    TRANSACTIONS_RAW,
    TRANSACTIONS_SILVER,
    Topic,
)

from support.fuzzing.outcomes import (
    check_one_outcome_each,
    enricher_outcomes,
    notifier_outcomes,
    places,
    table_places,
)
from support.kafka import KafkaTopics
from support.platforms import Platform
from support.processes import ServiceProcess, installed_command, service_environment
from support.spark_settings import QUICK, WITHOUT_SLOW_TABLES

ENRICHER: Final = "enricher"
NOTIFIER: Final = "notifier"
DETECTOR: Final = "detector"
LAKEHOUSE: Final = "lakehouse"

READS: Final[Mapping[str, tuple[Topic, ...]]] = {
    ENRICHER: (TRANSACTIONS_JSON, TRANSACTIONS_RAW),
    NOTIFIER: (ALERTS,),
    DETECTOR: (TRANSACTIONS_SILVER, CARD_PROFILES, RULES, LISTS),
    LAKEHOUSE: (
        TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER, TRANSACTIONS_LATE, ALERTS, ALERTS_FEEDBACK,
        DEAD_LETTERS,
    ),
}  # fmt: skip
"""The topics that a service reads."""

REPORTED: Final[Mapping[str, tuple[Topic, ...]]] = {**READS, DETECTOR: (TRANSACTIONS_SILVER, CARD_PROFILES)}
"""The topics of which a service reports its positions."""

_SPARK_START_SECONDS: Final = 240.0


def start_service(name: str, platform: Platform, topics: KafkaTopics, directory: Path) -> ServiceProcess:
    """Start a service and wait until it is ready."""
    command, settings = _COMMANDS[name](directory)
    service = ServiceProcess(
        command,
        # Its topics keep producers' times, which it is told to take: what a producer sets must not stop it either.
        service_environment(platform, topics.prefix, CARDWATCH_TOPIC_CHECK="warn", **settings),
        directory / f"{name}.log",
        working_directory=directory,
        wait_seconds=_SPARK_START_SECONDS,
    )
    service.start()
    try:
        service.wait_for(service.is_ready, "readiness")
    except AssertionError:
        service.kill()
        raise
    return service


def check_outcomes(name: str, topics: KafkaTopics, directory: Path) -> None:
    """Check that each message that a service has read has one outcome.

    Raises:
        AssertionError: one has none, or several.
    """
    _CHECKS[name](topics, directory)


def _check_enricher(topics: KafkaTopics, _: Path) -> None:
    check_one_outcome_each(places(topics, *READS[ENRICHER]), enricher_outcomes(topics))


def _check_notifier(topics: KafkaTopics, directory: Path) -> None:
    check_one_outcome_each(places(topics, ALERTS), notifier_outcomes(topics, directory / "outbox.db"))


def _check_lakehouse(topics: KafkaTopics, directory: Path) -> None:
    """Bronze has each raw message; of the others, those that are no row were refused."""
    tables = directory / "tables"
    raw = places(topics, TRANSACTIONS_JSON, TRANSACTIONS_RAW)
    check_one_outcome_each(raw, table_places(tables, "bronze.transactions"))
    silver = TRANSACTIONS_SILVER.name(topics.prefix)
    quarantined = [place for place in table_places(tables, "bronze.quarantine") if place[0] == silver]
    written = table_places(
        tables, "silver.transactions", topic=silver, columns=("", "silver_partition", "silver_offset")
    )
    check_one_outcome_each(places(topics, TRANSACTIONS_SILVER), quarantined + written)


def _check_detector(topics: KafkaTopics, _: Path) -> None:
    """Its outcomes are alerts, which only some transactions have: that it has read everything is all there is."""


_CHECKS: Final[Mapping[str, Callable[[KafkaTopics, Path], None]]] = {
    ENRICHER: _check_enricher,
    NOTIFIER: _check_notifier,
    DETECTOR: _check_detector,
    LAKEHOUSE: _check_lakehouse,
}

_COMMANDS: Final[Mapping[str, Callable[[Path], tuple[list[str], dict[str, str]]]]] = {
    ENRICHER: lambda directory: ([installed_command("cardwatch-enricher")], {}),
    NOTIFIER: lambda directory: (
        [installed_command("cardwatch-notifier"), "run"],
        {"CARDWATCH_NOTIFIER_OUTBOX_PATH": str(directory / "outbox.db")},
    ),
    DETECTOR: lambda directory: (
        [installed_command("cardwatch-detector"), "velocity"],
        {**QUICK, "CARDWATCH_DETECTOR_CHECKPOINT_DIR": str(directory / "velocity")},
    ),
    LAKEHOUSE: lambda directory: (
        [installed_command("cardwatch-detector"), "lakehouse"],
        {
            **QUICK,
            **WITHOUT_SLOW_TABLES,
            "CARDWATCH_LAKEHOUSE_TRIGGER": "2s",
            "CARDWATCH_LAKEHOUSE_TABLES_DIR": str(directory / "tables"),
            "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": str(directory / "checkpoints"),
        },
    ),
}
