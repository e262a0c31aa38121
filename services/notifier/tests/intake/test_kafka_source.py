"""Where the Kafka source begins to read, and what it says of its partitions, as the group gives and takes them."""

from collections.abc import Mapping
from typing import Any

import pytest
from cardwatch_notifier.intake import kafka_source as source
from cardwatch_notifier.intake.kafka_source import KafkaSource
from cardwatch_notifier.outbox.protocol import OutboxUnavailableError, Partition
from cardwatch_service.metrics import Metrics
from confluent_kafka import OFFSET_INVALID, TIMESTAMP_NOT_AVAILABLE, TopicPartition


class FakeMessage:
    """Message ``offset`` of partition 0."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def error(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_NOT_AVAILABLE, 0

    def headers(self) -> list[Any]:
        return []

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"


class FakeConsumer:
    """Partition 0 has offsets 0 to 99, of which 50 are committed; reads what it is assigned."""

    def __init__(self, config: dict[str, Any], logger: Any) -> None:
        self.config = config
        self.assigned: list[TopicPartition] = []
        self.offsets: list[int] = []
        self.committed_offsets: list[list[int]] = []

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.on_assign, self.on_revoke = on_assign, on_revoke

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned = list(partitions)

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(one.topic, one.partition) for one in self.assigned]

    def poll(self, timeout: float) -> FakeMessage | None:
        return FakeMessage(self.offsets.pop(0)) if self.assigned and self.offsets else None

    def consume(self, number: int, timeout: float) -> list[FakeMessage]:
        messages = [FakeMessage(offset) for offset in self.offsets]
        self.offsets = []
        return messages

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(one.topic, one.partition, 50) for one in partitions]

    def get_watermark_offsets(self, partition: TopicPartition, **_: Any) -> tuple[int, int]:
        return 0, 100

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.committed_offsets.append([one.offset for one in offsets])


class Bench:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, member: str | None = None) -> None:
        monkeypatch.setattr(source, "Consumer", FakeConsumer)
        self.partition = Partition("alerts.v1", "topic-id", 0)
        self.positions: Mapping[Partition, int] | Exception = {self.partition: 7}
        self.metrics = Metrics()
        self.source = KafkaSource({}, "alerts.v1", "topic-id", "group", member, self._positions, self.metrics)
        self.consumer: Any = self.source._consumer

    def _positions(self) -> Mapping[Partition, int]:
        if isinstance(self.positions, Exception):
            raise self.positions
        return self.positions

    def give(self) -> None:
        self.consumer.on_assign(self.consumer, [TopicPartition("alerts.v1", 0)])

    def take_away(self) -> None:
        self.consumer.on_revoke(self.consumer, [TopicPartition("alerts.v1", 0)])

    def begins_at(self) -> list[int]:
        return [partition.offset for partition in self.consumer.assigned]

    def lag(self) -> float | None:
        labels = {"topic": "alerts.v1", "partition": "0"}
        return self.metrics.registry.get_sample_value("cardwatch_consumer_lag_messages", labels)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_reading_begins_where_the_outbox_says(bench: Bench) -> None:
    bench.give()
    assert bench.begins_at() == [7]
    bench.positions = {}
    bench.give()
    assert bench.begins_at() == [OFFSET_INVALID], "where the group has committed"


def test_nothing_is_read_while_the_outbox_does_not_say_where(bench: Bench) -> None:
    bench.positions = OutboxUnavailableError("the outbox does not answer")
    bench.give()
    bench.consumer.offsets = [50]
    assert (bench.begins_at(), bench.source.poll(0), bench.source.assigned) == ([], [], False)
    bench.positions = {bench.partition: 7}
    bench.consumer.offsets = [7]
    assert [raw.offset for raw in bench.source.poll(0)] == [7]
    assert (bench.begins_at(), bench.source.assigned) == ([7], True)


def test_a_partition_that_is_taken_away_before_reading_began_is_not_read(bench: Bench) -> None:
    bench.positions = OutboxUnavailableError("the outbox does not answer")
    bench.give()
    bench.take_away()
    bench.positions = {bench.partition: 7}
    assert (bench.source.poll(0), bench.begins_at()) == ([], [])


def test_each_message_says_what_it_follows(bench: Bench) -> None:
    bench.give()
    bench.consumer.offsets = [7, 8, 12]
    assert [(raw.offset, raw.follows) for raw in bench.source.poll(0)] == [(7, 7), (8, 8), (12, 9)]
    bench.positions = {}
    bench.give()
    bench.consumer.offsets = [50]
    assert [raw.follows for raw in bench.source.poll(0)] == [0], "the outbox knew none"


def test_rewound_it_reads_from_the_outboxs_position_again(bench: Bench) -> None:
    bench.give()
    bench.consumer.offsets = [7, 8]
    bench.source.poll(0)
    bench.positions = {bench.partition: 3}
    bench.source.rewind()
    assert (bench.begins_at(), bench.source.assigned) == ([], False)
    bench.consumer.offsets = [3]
    assert [(raw.offset, raw.follows) for raw in bench.source.poll(0)] == [(3, 3)]
    assert bench.begins_at() == [3]


def test_of_a_partition_that_was_taken_away_it_says_nothing_more(bench: Bench) -> None:
    bench.give()
    assert bench.lag() == 93
    bench.take_away()
    assert bench.lag() is None
    bench.source.commit({bench.partition: 9})
    assert (bench.lag(), bench.consumer.committed_offsets) == (None, [])


def test_only_a_notifier_with_an_outbox_to_itself_is_a_static_member(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Bench(monkeypatch, "outbox-1").consumer.config["group.instance.id"] == "group-outbox-1"
    assert "group.instance.id" not in Bench(monkeypatch).consumer.config
