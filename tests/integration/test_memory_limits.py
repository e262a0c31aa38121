"""Memory is bounded by bytes, not by a number of messages: a topic of messages as large as the broker takes them."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from cardwatch_contracts.topics import DEAD_LETTERS, TRANSACTIONS_JSON
from cardwatch_kafka.messages import TopicPartition
from cardwatch_kafka.range_reader import RangeReader
from cardwatch_kafka.topic_follower import TopicFollower
from support.kafka import KafkaTopics
from support.memory import peak_resident_bytes, resident_bytes
from support.platforms import Platform
from support.processes import ServiceProcess, installed_command, service_environment

pytestmark = [pytest.mark.integration, pytest.mark.faults]

_MB: Final = 1024 * 1024
_MESSAGES: Final = 150
_MESSAGE_BYTES: Final = 1_000_000
# Half of what is in the topic; what a client reads ahead is far less.
_CLIENT_MB: Final = 80
_ENRICHER_MB: Final = 260


@pytest.fixture(scope="module")
def large_messages(platform: Platform, new_topic_prefix: Callable[[], str]) -> KafkaTopics:
    """Topics; that of JSON transactions has many large messages, none of them JSON."""
    topics = KafkaTopics(platform, new_topic_prefix(), message_max_bytes=2_000_000)
    value = b"x" * _MESSAGE_BYTES
    for _ in range(_MESSAGES):
        topics.send(TRANSACTIONS_JSON, value)
        topics.flush()
    return topics


@pytest.fixture
def follower(platform: Platform, large_messages: KafkaTopics) -> Iterator[TopicFollower]:
    partitions = [TopicPartition(TRANSACTIONS_JSON.name(large_messages.prefix), number) for number in range(3)]
    follower = TopicFollower({"bootstrap.servers": platform.bootstrap_servers}, "test", partitions)
    yield follower
    follower.close()


def test_a_client_reads_little_ahead(follower: TopicFollower) -> None:
    before = resident_bytes(os.getpid())
    time.sleep(4)
    assert resident_bytes(os.getpid()) - before < _CLIENT_MB * _MB
    # And yet all come.
    found = 0
    while found < _MESSAGES:
        found += len(follower.poll(10).messages)
    assert resident_bytes(os.getpid()) - before < _CLIENT_MB * _MB


def test_a_range_is_read_in_little_memory(platform: Platform, large_messages: KafkaTopics) -> None:
    reader = RangeReader({"bootstrap.servers": platform.bootstrap_servers}, "test")
    before = resident_bytes(os.getpid())
    found = most = 0
    for _ in reader.read_all(TRANSACTIONS_JSON.name(large_messages.prefix)):
        found += 1
        most = max(most, resident_bytes(os.getpid()))
    reader.close()
    assert found == _MESSAGES
    assert most - before < _CLIENT_MB * _MB


def test_the_enricher_takes_them_in_little_memory(
    platform: Platform, large_messages: KafkaTopics, tmp_path: Path
) -> None:
    enricher = ServiceProcess(
        [installed_command("cardwatch-enricher")],
        service_environment(platform, large_messages.prefix),
        tmp_path / "enricher.log",
    )
    enricher.start()
    try:
        ends = large_messages.end_offsets(TRANSACTIONS_JSON)
        enricher.wait_for(lambda: ends.items() <= enricher.positions().items(), "end of what it reads", 120)
        assert peak_resident_bytes(enricher.process.pid) < _ENRICHER_MB * _MB
        enricher.stop()
    finally:
        enricher.kill()
    assert sum(large_messages.end_offsets(DEAD_LETTERS).values()) == _MESSAGES
