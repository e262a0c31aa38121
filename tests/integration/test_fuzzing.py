"""A few hundred fuzzed messages of each kind through running services; ``make fuzz`` sends 100,000."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from cardwatch_contracts.topics import ALERTS, ALERTS_FEEDBACK
from support.fuzzing.kinds import kinds
from support.fuzzing.run import FuzzRun
from support.fuzzing.services import (
    DETECTOR,
    ENRICHER,
    LAKEHOUSE,
    NOTIFIER,
    READS,
    REPORTED,
    check_outcomes,
    start_service,
)
from support.fuzzing.timestamps import keep_timestamps
from support.kafka import KafkaTopics
from support.kafka_admin import KafkaAdmin
from support.platforms import Platform

pytestmark = [pytest.mark.integration, pytest.mark.faults]

# The first micro-batch of gold.alerts with fuzzed alerts and labels has not ended within minutes.
LEFT_OUT: Final = (ALERTS, ALERTS_FEEDBACK)
SEED: Final = 20
MESSAGES: Final = 300
SECONDS: Final = 240.0


def fuzz(names: Sequence[str], platform: Platform, prefix: str, directory: Path) -> None:
    topics = KafkaTopics(platform, prefix, message_max_bytes=2_000_000)
    read = [topic for name in names for topic in READS[name] if name != LAKEHOUSE or topic not in LEFT_OUT]
    chosen = {name: kind for name, kind in kinds(topics.encode).items() if kind.topic in read}
    keep_timestamps(KafkaAdmin(platform), prefix, [kind.topic for kind in chosen.values()], names)
    with ExitStack() as stack:
        services = {}
        for name in names:
            services[name] = start_service(name, platform, topics, directory)
            stack.callback(services[name].kill)
        run = FuzzRun(topics, services, REPORTED, SECONDS)
        run.send(chosen, SEED, MESSAGES)
        run.check_restarts()
        for name, service in services.items():
            check_outcomes(name, topics, directory)
            service.stop(60)


def test_enricher_and_notifier(platform: Platform, topic_prefix: str, tmp_path: Path) -> None:
    fuzz([ENRICHER, NOTIFIER], platform, topic_prefix, tmp_path)


@pytest.mark.parametrize("name", [DETECTOR, LAKEHOUSE])
def test_services_on_spark(platform: Platform, topic_prefix: str, tmp_path: Path, name: str) -> None:
    fuzz([name], platform, topic_prefix, tmp_path)
