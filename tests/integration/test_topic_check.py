"""Topics that were there before Cardwatch, with settings that it cannot work with, and times that producers make up."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cardwatch_cli.main import app
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.topics import (
    ALERTS,
    ALL_TOPICS,
    DEAD_LETTERS,
    RULES,
    TRANSACTIONS_RAW,
    TRANSACTIONS_SILVER,
    Topic,
)
from cardwatch_kafka.topic_check import inspect_topics
from confluent_kafka import Producer
from support.kafka import FLUSH_SECONDS, KafkaTopics
from support.kafka_admin import KafkaAdmin
from support.platforms import Platform
from support.processes import ServiceProcess, service_processes
from support.records import transaction_record
from typer.testing import CliRunner, Result

pytestmark = pytest.mark.integration

HOUR_MS, YEAR_MS = 3_600_000, 365 * 24 * 3_600_000
CREATE_TIME = {
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": str(2**63 - 1),
    "message.timestamp.before.max.ms": str(2**63 - 1),
}
# What is set wrong, of which topic, whether it stops those that use it, and who uses it.
WRONG: list[tuple[Topic, dict[str, str], bool]] = [
    (TRANSACTIONS_RAW, CREATE_TIME, True),
    (TRANSACTIONS_SILVER, {"retention.ms": str(HOUR_MS)}, True),
    (ALERTS, {"cleanup.policy": "compact"}, True),
    (RULES, {"retention.ms": str(HOUR_MS), "cleanup.policy": "delete"}, True),
    (DEAD_LETTERS, {"max.message.bytes": "500000"}, False),
]


@pytest.fixture
def topics(platform: Platform, topic_prefix: str) -> KafkaTopics:
    return KafkaTopics(platform, topic_prefix)


@pytest.fixture
def admin(platform: Platform) -> KafkaAdmin:
    return KafkaAdmin(platform)


@pytest.fixture
def service(platform: Platform, topic_prefix: str, tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Makes processes of services on the test's own topics."""
    with service_processes(platform, topic_prefix, tmp_path) as start:
        yield start


@pytest.fixture
def schemas(platform: Platform, topic_prefix: str) -> Callable[..., Result]:
    """Runs ``cardwatch schemas`` on the test's own topics."""
    environment = {**platform.environment(), "CARDWATCH_TOPIC_PREFIX": topic_prefix}

    def run(*arguments: str, **settings: str) -> Result:
        return CliRunner().invoke(app, ["schemas", *arguments], env={**environment, **settings})

    return run


def test_topics_as_cardwatch_creates_them_have_no_differences(platform: Platform, topic_prefix: str) -> None:
    report = inspect_topics({"bootstrap.servers": platform.bootstrap_servers}, ALL_TOPICS, topic_prefix)
    assert (list(report.differences), list(report.missing), list(report.unreadable)) == ([], [], [])
    report = inspect_topics({"bootstrap.servers": platform.bootstrap_servers}, [RULES], "nowhere.")
    assert list(report.missing) == ["nowhere.rules.v1"]


@pytest.mark.parametrize("command", ["check", "apply"])
def test_the_command_line_names_each_difference_and_what_mends_it(
    schemas: Callable[..., Result], admin: KafkaAdmin, topic_prefix: str, command: str
) -> None:
    for topic, settings, _ in WRONG:
        admin.set_topic(topic.name(topic_prefix), settings)
    result = schemas(command, "--horizon", "card=30h")
    assert result.exit_code == 1, result.output
    for topic, settings, stops in WRONG:
        setting = next(iter(settings))
        (line,) = [
            line
            for line in result.stdout.splitlines()
            if f"topic {topic.name(topic_prefix)} has {setting}" in line and not line.startswith("error")
        ]
        assert line.startswith("STOPS A START" if stops else "warning"), line
    assert schemas(command, CARDWATCH_TOPIC_CHECK="warn").exit_code == 0

    # The commands that it prints are the cure.
    mending = re.findall(r"--entity-name (\S+) --add-config ([a-z.]+)=(\S+)", result.stdout)
    for name, setting, value in mending:
        admin.set_topic(name, {setting: value})
    mended = schemas(command, "--horizon", "card=30h")
    assert mended.exit_code == 0, mended.output
    assert not [line for line in mended.stdout.splitlines() if line.startswith(("STOPS", "warning"))]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("command", "topic", "settings"),
    [
        (("cardwatch-enricher",), TRANSACTIONS_RAW, CREATE_TIME),
        (("cardwatch-notifier", "run"), ALERTS, {"cleanup.policy": "compact"}),
        (("cardwatch-detector", "velocity"), TRANSACTIONS_SILVER, {"retention.ms": str(30 * HOUR_MS)}),
        (("cardwatch-detector", "velocity"), RULES, {"cleanup.policy": "delete", "retention.ms": str(HOUR_MS)}),
        (("cardwatch-detector", "lakehouse"), TRANSACTIONS_RAW, CREATE_TIME),
    ],
    ids=["enricher", "notifier", "detector", "detector's rules", "lakehouse"],
)
def test_a_service_does_not_start_where_its_results_would_be_wrong(
    service: Callable[..., ServiceProcess],
    admin: KafkaAdmin,
    topic_prefix: str,
    command: tuple[str, ...],
    topic: Topic,
    settings: dict[str, str],
) -> None:
    admin.set_topic(topic.name(topic_prefix), settings)
    refused = service(*command)
    assert refused.process.wait(60) == 1, refused.log_tail()
    assert f"error: topic {topic.name(topic_prefix)} has " in refused.log(), refused.log_tail()
    assert "To mend it: kafka-configs.sh --bootstrap-server" in refused.log()
    assert "CARDWATCH_TOPIC_CHECK=warn" in refused.log()


@pytest.mark.faults
def test_times_that_producers_make_up_have_one_outcome_each_and_delay_nothing(
    platform: Platform, topics: KafkaTopics, admin: KafkaAdmin, service: Callable[..., ServiceProcess]
) -> None:
    """CreateTime: with each message its producer says when the broker received it."""
    admin.set_topic(TRANSACTIONS_RAW.name(topics.prefix), CREATE_TIME)
    now_ms = time.time_ns() // 1_000_000
    ahead = [now_ms + 2 * HOUR_MS, now_ms + 70 * YEAR_MS, 253_370_764_800_001, 9_300_000_000_000_000, 2**63 - 1]
    past = [1, now_ms - HOUR_MS, -5, -9_300_000_000_000_000, -(2**63)]
    producer = Producer({"bootstrap.servers": platform.bootstrap_servers})
    for number, timestamp in enumerate([*ahead, *past]):
        own_ms = min(timestamp, now_ms + 70 * YEAR_MS) if timestamp > now_ms else now_ms
        for name, event_ms in (("now", now_ms), ("own", own_ms)):
            record = transaction_record(transaction_id=f"t-{number}-{name}", event_time=event_ms * 1000)
            value = topics.encode(TRANSACTIONS_RAW, record)
            producer.produce(TRANSACTIONS_RAW.name(topics.prefix), value, b"k", timestamp=timestamp)
    assert producer.flush(FLUSH_SECONDS) == 0

    enricher = service("cardwatch-enricher", CARDWATCH_TOPIC_CHECK="warn")
    ends = topics.end_offsets(TRANSACTIONS_RAW)
    enricher.wait_for(lambda: ends.items() <= enricher.positions().items(), "the end of what it reads")
    enricher.stop()
    assert '"setting": "message.timestamp.type"' in enricher.log(), "it says so, and starts"
    silver, letters = topics.records(TRANSACTIONS_SILVER), topics.records(DEAD_LETTERS)
    assert len(silver) + len(letters) == sum(ends.values())
    horizon_us = time.time_ns() // 1000 + 60_000_000
    assert all(record["event_time"] <= horizon_us and record["raw_broker_time"] <= horizon_us for record in silver)
    reasons: Counter[Any] = Counter(letter["reason"] for letter in letters)
    assert set(reasons) == {Reason.EVENT_TIME_IN_FUTURE.value}
    assert reasons[Reason.EVENT_TIME_IN_FUTURE.value] >= len(ahead)
