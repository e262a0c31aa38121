"""The services of the pipeline: how each is started, what it reads, where it keeps its state."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER, Topic

ENRICHER: Final = "enricher"
DETECTOR: Final = "detector"
NOTIFIER: Final = "notifier"
LAKEHOUSE: Final = "lakehouse"

# Settings of a real deployment that may be in a developer's environment and must not reach the pipeline: the addresses
# of broker and registry, and the credentials for them.
_NOT_INHERITED: Final = (
    "CARDWATCH_KAFKA_",
    "CARDWATCH_SCHEMA_REGISTRY_",
    "CARDWATCH_TOPIC_PREFIX",
    "CARDWATCH_METRICS_",
)


class PlatformEndpoints(Protocol):
    """A Kafka broker and a schema registry that are up."""

    @property
    def bootstrap_servers(self) -> str:
        """host:port of the broker."""

    @property
    def registry_url(self) -> str:
        """Base URL of the schema registry's Confluent-compatible API."""

    def environment(self) -> dict[str, str]:
        """The settings with which services find it: broker, registry, Java and jars for Spark."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """The URL that alerts are delivered to, and the key that the requests are signed with."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """How one service of the pipeline is started.

    Attributes:
        reads: topics of which it must have processed every message before the pipeline counts as drained.
        background: no alert waits for it: it is started when the others are ready, at the lowest priority, and the
            pipeline does not wait until it is ready.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    reads: tuple[Topic, ...]
    background: bool = False


def command(name: str) -> str:
    """Path of a console script of this installation."""
    return str(Path(sys.executable).parent / name)


def base_environment(platform: PlatformEndpoints, topic_prefix: str) -> dict[str, str]:
    """This process's environment, with the settings of broker and registry replaced by the platform's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    return inherited | platform.environment() | {"CARDWATCH_TOPIC_PREFIX": topic_prefix, "PYTHONUNBUFFERED": "1"}


def define_services(data_dir: Path, webhook: Webhook, extra_env: Mapping[str, str]) -> tuple[ServiceDefinition, ...]:
    """The services in the order in which a transaction meets them.

    Args:
        data_dir: where they keep checkpoints, tables and outbox.
        extra_env: further settings, the same for all of them.
    """
    return (
        ServiceDefinition(
            ENRICHER,
            (command("cardwatch-enricher"),),
            # A name of its own gives a restarted enricher its partitions back at once.
            {"CARDWATCH_ENRICHER_INSTANCE_ID": "enricher-1", **extra_env},
            (TRANSACTIONS_RAW, TRANSACTIONS_JSON),
        ),
        ServiceDefinition(
            DETECTOR,
            (command("cardwatch-detector"), "velocity"),
            {
                "CARDWATCH_DETECTOR_CHECKPOINT_DIR": str(data_dir / "checkpoints" / "velocity"),
                # One partition of the state is the fastest at the rate of one machine.
                "CARDWATCH_DETECTOR_PARTITIONS": "1",
                **extra_env,
            },
            (TRANSACTIONS_SILVER,),
        ),
        ServiceDefinition(
            NOTIFIER,
            (command("cardwatch-notifier"), "run"),
            {
                "CARDWATCH_NOTIFIER_OUTBOX_PATH": str(data_dir / "outbox.sqlite"),
                "CARDWATCH_NOTIFIER_WEBHOOK_URL": webhook.url,
                "CARDWATCH_NOTIFIER_WEBHOOK_SECRET": webhook.secret,
                **extra_env,
            },
            (ALERTS,),
        ),
        ServiceDefinition(
            LAKEHOUSE,
            (command("cardwatch-detector"), "lakehouse"),
            {
                "CARDWATCH_LAKEHOUSE_TABLES_DIR": str(tables_dir(data_dir)),
                "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": str(data_dir / "checkpoints" / "lakehouse"),
                **extra_env,
            },
            (TRANSACTIONS_RAW, TRANSACTIONS_JSON, TRANSACTIONS_SILVER, ALERTS),
            background=True,
        ),
    )


def producer_definition(arguments: Sequence[str], extra_env: Mapping[str, str]) -> ServiceDefinition:
    """``cardwatch-producer`` with these arguments."""
    # Fewer, larger requests: everything shares this machine's few cores, the broker included.
    env = {"CARDWATCH_PRODUCER_LINGER_MS": "25", **extra_env}
    return ServiceDefinition("producer", (command("cardwatch-producer"), *arguments), env, ())


def tables_dir(data_dir: Path) -> Path:
    """Where the lakehouse keeps its Delta tables."""
    return data_dir / "tables"
