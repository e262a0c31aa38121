"""Messages that the broker deleted before they were read: by retention, or because nobody read for too long."""

import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.topics import ALERTS, LISTS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, Topic
from cardwatch_kafka.messages import TopicPartition
from cardwatch_lakehouse.tables import BRONZE_TRANSACTIONS
from cardwatch_rulebook.kafka_log import KafkaLog, follow_topics
from cardwatch_service.metrics import LOST_TOTAL
from support import partial_lakehouse
from support.kafka import KafkaTopics
from support.kafka_admin import KafkaAdmin
from support.platforms import Platform
from support.processes import ServiceProcess, service_processes
from support.records import transaction_record
from support.spark_settings import QUICK

pytestmark = [pytest.mark.integration, pytest.mark.faults]

CONTINUE = {"CARDWATCH_ON_LOST_OFFSETS": "continue"}


@pytest.fixture
def topics(platform: Platform, topic_prefix: str) -> KafkaTopics:
    return KafkaTopics(platform, topic_prefix)


@pytest.fixture
def admin(platform: Platform) -> KafkaAdmin:
    return KafkaAdmin(platform)


@pytest.fixture
def service(platform: Platform, topic_prefix: str, tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Makes processes of a service, one at a time, on the test's own topics."""
    common = {
        **QUICK,
        "CARDWATCH_LAKEHOUSE_TABLES_DIR": str(tmp_path / "tables"),
        "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": str(tmp_path / "checkpoints"),
        "CARDWATCH_LAKEHOUSE_TRIGGER": "1s",
    }
    with service_processes(platform, topic_prefix, tmp_path, **common) as start:
        yield start


ENRICHER, NOTIFIER = ["cardwatch-enricher"], ["cardwatch-notifier", "run"]


def send(topics: KafkaTopics, topic: Topic, count: int) -> None:
    """Messages to all partitions: transactions to the raw topic, to others what nobody can decode."""
    for number in range(count):
        record = transaction_record(transaction_id=str(uuid.uuid4()), event_time=time.time_ns() // 1000)
        value = topics.encode(topic, record) if topic is TRANSACTIONS_RAW else b"not an alert"
        topics.send(topic, value, b"%d" % number)
    topics.flush()


def wait_until_read(process: ServiceProcess, topics: KafkaTopics, *read: Topic) -> None:
    ends = topics.end_offsets(*read)
    process.wait_for(lambda: process.positions() == ends, "the end of what it reads")


@pytest.mark.parametrize(
    ("command", "group", "read"),
    [
        (ENRICHER, "cardwatch-enricher", (TRANSACTIONS_RAW, TRANSACTIONS_JSON)),
        (NOTIFIER, "cardwatch-notifier", (ALERTS,)),
    ],
    ids=["enricher", "notifier"],
)
def test_a_consumer_whose_next_messages_are_gone_stops_until_somebody_decides(
    topics: KafkaTopics,
    admin: KafkaAdmin,
    service: Callable[..., ServiceProcess],
    command: list[str],
    group: str,
    read: tuple[Topic, ...],
) -> None:
    # A topic whose first messages were deleted long ago, and a new group: nothing that it was to read is lost.
    topic = read[0]
    send(topics, topic, 50)
    admin.delete_messages(topics, topic)
    first = service(*command)
    first.wait_for(first.is_ready, "readiness")
    wait_until_read(first, topics, *read)
    # Without any traffic: an autoscaler that asks for the group's offsets sees no lag, in no partition.
    assert admin.committed_offsets(topics.prefix + group) == topics.end_offsets(*read)
    send(topics, topic, 20)
    wait_until_read(first, topics, *read)
    first.stop()

    send(topics, topic, 30)
    admin.delete_messages(topics, topic)
    send(topics, topic, 10)
    stopped = service(*command)
    assert stopped.process.wait(60) != 0
    assert "offsets were deleted before they were read" in stopped.log(), stopped.log_tail()
    assert "CARDWATCH_ON_LOST_OFFSETS=continue" in stopped.log()
    assert topic.name(topics.prefix) in stopped.log()

    going_on = service(*command, **CONTINUE)
    going_on.wait_for(going_on.is_ready, "readiness")
    wait_until_read(going_on, topics, *read)
    assert going_on.metric(LOST_TOTAL, topic=topic.name(topics.prefix)) == 30
    going_on.stop()
    again = service(*command)
    again.wait_for(again.is_ready, "readiness", 60)
    wait_until_read(again, topics, *read)
    assert again.metric(LOST_TOTAL) == 0, "what is lost is lost once"
    again.stop()


@pytest.mark.timeout(400)
def test_spark_stops_and_goes_on_by_the_same_setting(
    topics: KafkaTopics, admin: KafkaAdmin, service: Callable[..., ServiceProcess]
) -> None:
    command = [sys.executable, partial_lakehouse.__file__, BRONZE_TRANSACTIONS.name]

    def wait_until_read_by(process: ServiceProcess) -> None:
        ends = topics.end_offsets(TRANSACTIONS_RAW)
        process.wait_for(lambda: ends.items() <= process.positions().items(), "the end of what it reads", 120)

    send(topics, TRANSACTIONS_RAW, 20)
    first = service(*command)
    wait_until_read_by(first)
    first.stop(60)
    send(topics, TRANSACTIONS_RAW, 30)
    admin.delete_messages(topics, TRANSACTIONS_RAW)
    send(topics, TRANSACTIONS_RAW, 10)
    stopped = service(*command)
    assert stopped.process.wait(120) != 0
    assert "the query bronze.transactions lost messages" in stopped.log(), stopped.log_tail()
    assert "CARDWATCH_ON_LOST_OFFSETS=continue" in stopped.log()
    going_on = service(*command, **CONTINUE)
    wait_until_read_by(going_on)
    going_on.stop(60)


def test_rules_and_lists_are_read_from_the_beginning_whatever_it_is(
    platform: Platform, topics: KafkaTopics, admin: KafkaAdmin
) -> None:
    connection: Any = {"bootstrap.servers": platform.bootstrap_servers}
    name = LISTS.name(topics.prefix)
    admin.set_topic(name, {"cleanup.policy": "delete"})  # of a compacted topic nothing can be deleted at will
    with closing(KafkaLog(connection, name)) as log:
        log.append([("a", b"deleted")])
        admin.delete_messages(topics, LISTS)
        log.append([("b", b"first"), ("c", b"second")])
    with closing(KafkaLog(connection, name)) as log:
        assert [message.value for batch in log.read() for message in batch] == [b"first", b"second"]
    with closing(KafkaLog(connection, name)) as log:
        for _ in range(2):
            batches = log.read()
            assert [message.value for message in next(batches)] == [b"first", b"second"], "it is not taken yet"
            batches.close()
        assert [len(batch) for batch in log.read()] == [2]
        assert list(log.read()) == []
    with closing(follow_topics(connection, [name])) as follower:
        found: list[bytes | None] = []
        deadline = time.monotonic() + 30
        while len(found) < 2 and time.monotonic() < deadline:
            found += [message.value for message in follower.poll(0.2).messages]
    assert found == [b"first", b"second"]
    assert topics.end_offsets(LISTS)[TopicPartition(name, 0)] == 3
