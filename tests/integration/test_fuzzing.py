"""A few hundred fuzzed messages of each kind through running services; ``make fuzz`` sends 100,000."""

import struct
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from cardwatch_contracts.topics import ALERTS, ALERTS_FEEDBACK, LISTS, RULE_APPROVALS, RULE_STATUS, RULES
from support.fuzzing.kinds import fuzzed_messages, kinds
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
from support.fuzzing.timestamps import keep_timestamps, message_timestamps
from support.kafka import KafkaTopics
from support.kafka_admin import KafkaAdmin
from support.platforms import Platform
from support.processes import installed_command, service_environment

pytestmark = [pytest.mark.integration, pytest.mark.faults]

# The first micro-batch of gold.alerts with fuzzed alerts and labels has not ended within minutes.
LEFT_OUT: Final = (ALERTS, ALERTS_FEEDBACK)
SEED: Final = 20
MESSAGES: Final = 300
SECONDS: Final = 240.0
# Of each topic. With a request per id, 600 s for one topic.
UNKNOWN_IDS: Final = 3_000


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


def test_commands_that_read_rules_lists_and_statuses(platform: Platform, topic_prefix: str) -> None:
    """No service reads the statuses: `cardwatch rules list` does, in a process of its own."""
    topics = KafkaTopics(platform, topic_prefix, message_max_bytes=2_000_000)
    read = (RULES, LISTS, RULE_STATUS, RULE_APPROVALS)
    keep_timestamps(KafkaAdmin(platform), topic_prefix, read, ["cardwatch"])
    timestamps = message_timestamps(["cardwatch"])
    for kind in kinds(topics.encode).values():
        for message in fuzzed_messages(kind, SEED, MESSAGES, timestamps) if kind.topic in read else ():
            topics.send(kind.topic, message.value, message.key, message.headers, timestamp=message.timestamp)
    for number in range(UNKNOWN_IDS):
        for topic in read:
            topics.send(topic, struct.pack(">bI", 0, 1_000_000 + number) + b"x", b"k")
    topics.flush()
    environment = service_environment(platform, topic_prefix)
    for command in (["rules", "list", "--json"], ["lists", "list"], ["rules", "history", "r1"]):
        done = subprocess.run(
            [installed_command("cardwatch"), *command],
            env=environment,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert b"Traceback" not in done.stderr
