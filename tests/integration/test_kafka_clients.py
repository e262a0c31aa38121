"""The shared Kafka clients on a real broker: transactions that were aborted, ends of topics, positions of a group."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from cardwatch_contracts.topics import DEAD_LETTERS, TRANSACTIONS_LABELS
from cardwatch_kafka.configuration import KafkaConfig, consumer_config, producer_config
from cardwatch_kafka.errors import BrokerUnavailableError, DeliveryError, MissingTopicError
from cardwatch_kafka.group_consumer import GroupConsumer
from cardwatch_kafka.lost_offsets import LostOffsets
from cardwatch_kafka.messages import OutgoingMessage, TopicPartition
from cardwatch_kafka.producer import KafkaProducer
from cardwatch_kafka.publisher import BatchPublisher
from cardwatch_kafka.range_reader import RangeReader
from cardwatch_kafka.topic_follower import TopicFollower
from cardwatch_kafka.topics import create_topics, topic_id
from cardwatch_service.metrics import Metrics
from confluent_kafka import Producer

pytestmark = pytest.mark.integration

WAIT_SECONDS = 60.0


@pytest.fixture
def connection(platform: Any) -> KafkaConfig:
    return {"bootstrap.servers": platform.bootstrap_servers}


@pytest.fixture
def topic(topic_prefix: str) -> str:
    """An empty topic of one partition."""
    return TRANSACTIONS_LABELS.name(topic_prefix)


@pytest.fixture
def reader(connection: KafkaConfig) -> Iterator[RangeReader]:
    with closing(RangeReader(connection, "test-reader", silence_seconds=WAIT_SECONDS)) as reader:
        yield reader


def publish(connection: KafkaConfig, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(producer_config(connection))
    producer.deliver([OutgoingMessage(topic, b"k", value) for value in values]).require_all("the broker")


def in_transaction(connection: KafkaConfig, topic: str, *values: bytes, commit: bool) -> None:
    producer = Producer({**connection, "transactional.id": f"test-{topic}"})
    producer.init_transactions(WAIT_SECONDS)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, b"k")
    producer.flush(WAIT_SECONDS)
    if commit:
        producer.commit_transaction(WAIT_SECONDS)
    else:
        producer.abort_transaction(WAIT_SECONDS)


def until(condition: Callable[[], bool], step: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        step()
        assert time.monotonic() < deadline, "it did not happen in time"


@pytest.mark.faults
def test_a_range_that_ends_with_aborted_messages_is_read_to_its_end(
    connection: KafkaConfig, topic: str, reader: RangeReader
) -> None:
    in_transaction(connection, topic, *[b"aborted"] * 100, commit=False)
    publish(connection, topic, b"first")
    in_transaction(connection, topic, b"second", b"third", commit=True)
    in_transaction(connection, topic, *[b"aborted"] * 100, commit=False)
    end = reader.end_offsets(topic)[TopicPartition(topic, 0)]
    assert end == 100 + 1 + 1 + 2 + 1 + 100 + 1, "messages and one marker per transaction"
    values = [message.value for message in reader.read_all(topic)]
    assert values == [b"first", b"second", b"third"]
    assert [message.offset for message in reader.read(topic, {0: 101}, {0: 103})] == [101, 102]
    assert list(reader.read(topic, {0: 104}, {0: end})) == [], "nothing but markers and aborted messages"


@pytest.mark.faults
def test_a_follower_passes_aborted_messages_and_reports_the_end(connection: KafkaConfig, topic: str) -> None:
    publish(connection, topic, b"first")
    in_transaction(connection, topic, *[b"aborted"] * 100, commit=False)
    values: list[bytes | None] = []
    ends: set[str] = set()
    with closing(TopicFollower(connection, "test-follower", [TopicPartition(topic, 0)])) as follower:

        def step() -> None:
            batch = follower.poll(0.2)
            values.extend(message.value for message in batch.messages)
            ends.update(batch.at_end)

        until(lambda: topic in ends, step)
        assert values == [b"first"]
        ends.clear()
        in_transaction(connection, topic, b"second", commit=True)
        until(lambda: topic in ends and len(values) == 2, step)
    assert values == [b"first", b"second"]


@pytest.mark.faults
def test_a_group_consumer_has_no_lag_behind_aborted_messages(connection: KafkaConfig, topic: str) -> None:
    publish(connection, topic, b"first", b"second")
    metrics = Metrics()
    labels = {"topic": topic, "partition": "0"}
    config = consumer_config(connection, f"group-{topic}", {"fetch.wait.max.ms": 100})
    consumer = GroupConsumer(
        config, topic, lambda: {TopicPartition(topic, 0): 1}, metrics, LostOffsets("stop", metrics)
    )
    taken: list[tuple[bytes | None, int]] = []

    def step() -> None:
        consumed = consumer.poll(0.2)
        taken.extend((one.message.value, one.previous_end) for one in consumed)
        if consumed:
            consumer.commit({one.message.topic_partition: one.message.offset + 1 for one in consumed})

    def lag() -> float | None:
        return metrics.registry.get_sample_value("cardwatch_consumer_lag_messages", labels)

    try:
        until(lambda: len(taken) == 1, step)
        in_transaction(connection, topic, *[b"aborted"] * 100, commit=False)
        time.sleep(1.5)  # longer than a lag is kept
        until(lambda: lag() == 0.0, step)
        publish(connection, topic, b"third")
        until(lambda: len(taken) == 2, step)
        assert taken == [(b"second", 1), (b"third", 2)], "what was aborted is part of the gap before the third"
        until(lambda: lag() == 0.0, step)
        assert metrics.registry.get_sample_value("cardwatch_consumer_position_offset", labels) == 104.0
    finally:
        consumer.close()


def test_a_message_that_is_too_large_does_not_hold_up_the_others(connection: KafkaConfig, topic: str) -> None:
    producer = KafkaProducer(producer_config(connection, {"message.max.bytes": 20_000_000}))
    publisher = BatchPublisher(producer, count_retry=lambda: None)
    batch = [OutgoingMessage(topic, b"k", b"1"), OutgoingMessage(topic, b"k", bytes(3_000_000))]
    assert publisher.publish(batch) == [1]


def test_a_topic_that_does_not_exist_is_named_with_what_to_do(connection: KafkaConfig, reader: RangeReader) -> None:
    for ask in (
        lambda: reader.end_offsets("nowhere.v1"),
        lambda: topic_id(connection, "nowhere.v1"),
        lambda: KafkaProducer(producer_config(connection)).require_topic("nowhere.v1", 10.0),
    ):
        with pytest.raises(MissingTopicError, match=r"there is no topic nowhere\.v1 at .*`cardwatch schemas apply`"):
            ask()
    producer = KafkaProducer(producer_config(connection, {"topic.metadata.propagation.max.ms": 500}))
    publisher = BatchPublisher(producer, count_retry=lambda: None)
    with pytest.raises(DeliveryError, match=r"does not take messages for nowhere\.v1"):
        publisher.publish([OutgoingMessage("nowhere.v1", b"k", b"1")])


def test_an_unreachable_broker_is_reported_in_one_sentence(connection: KafkaConfig) -> None:
    nowhere: KafkaConfig = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}
    producer = KafkaProducer(producer_config(nowhere))
    with pytest.raises(BrokerUnavailableError, match="CARDWATCH_KAFKA_BOOTSTRAP_SERVERS"):
        producer.require_topic("transactions.raw.v1", 1.0)
    result = producer.deliver([OutgoingMessage("transactions.raw.v1", b"k", b"1")], 0.5)
    assert (result.sent, result.unanswered) == (1, 1)


def test_topics_are_created_once(connection: KafkaConfig, topic_prefix: str) -> None:
    created = create_topics(connection, topic_prefix)
    assert not any(created.values()), "the fixture has created them"
    assert topic_id(connection, DEAD_LETTERS.name(topic_prefix)) != topic_id(connection, DEAD_LETTERS.name())
