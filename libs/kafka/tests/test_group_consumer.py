"""Where a group consumer begins to read, and the metrics of its partitions as they are assigned and revoked."""

from collections.abc import Mapping
from typing import Any

import pytest
from cardwatch_kafka.errors import KafkaClientError
from cardwatch_kafka.group_consumer import GroupConsumer, OffsetsUnavailableError
from cardwatch_kafka.lost_offsets import LostOffsets, LostOffsetsError, OnLostOffsets
from cardwatch_kafka.messages import TopicPartition
from cardwatch_service.metrics import Metrics
from confluent_kafka import OFFSET_INVALID, TIMESTAMP_NOT_AVAILABLE, KafkaError
from confluent_kafka import TopicPartition as ClientTopicPartition


class FakeMessage:
    """Message ``offset`` of partition 0."""

    def __init__(self, offset: int, error: KafkaError | None = None) -> None:
        self._offset = offset
        self._error = error

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return "alerts.v1"

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
    """SourcePartition 0 has offsets 0 to 99, of which 50 are committed; reads what it is assigned."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None
        self.assigned: list[ClientTopicPartition] = []
        self.offsets: list[int] = []
        self.committed_offsets: list[list[int]] = []
        self.next_offset = OFFSET_INVALID
        self.committed_offset = 50
        self.bounds = (0, 100)

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.on_assign, self.on_revoke = on_assign, on_revoke

    def assign(self, partitions: list[ClientTopicPartition]) -> None:
        self.assigned = list(partitions)

    def assignment(self) -> list[ClientTopicPartition]:
        return [ClientTopicPartition(one.topic, one.partition) for one in self.assigned]

    def poll(self, timeout: float) -> FakeMessage | None:
        if self.error is not None:
            return FakeMessage(0, self.error)
        if not self.assigned or not self.offsets:
            return None
        self.next_offset = self.offsets[-1] + 1
        return FakeMessage(self.offsets.pop(0))

    def consume(self, number: int, timeout: float) -> list[FakeMessage]:
        messages = [FakeMessage(offset) for offset in self.offsets]
        self.offsets = []
        return messages

    def committed(self, partitions: list[ClientTopicPartition], timeout: float) -> list[ClientTopicPartition]:
        return [ClientTopicPartition(one.topic, one.partition, self.committed_offset) for one in partitions]

    def get_watermark_offsets(self, partition: ClientTopicPartition, **_: Any) -> tuple[int, int]:
        return self.bounds

    def position(self, partitions: list[ClientTopicPartition]) -> list[ClientTopicPartition]:
        return [ClientTopicPartition(one.topic, one.partition, self.next_offset) for one in partitions]

    def commit(self, offsets: list[ClientTopicPartition], asynchronous: bool) -> None:
        self.committed_offsets.append([one.offset for one in offsets])


class Bench:
    def __init__(self, on_lost_offsets: OnLostOffsets = "stop") -> None:
        self.partition = TopicPartition("alerts.v1", 0)
        self.positions: Mapping[TopicPartition, int] | Exception = {self.partition: 7}
        self.metrics = Metrics()
        self.client = FakeConsumer()
        self.consumer = GroupConsumer(
            {},
            "alerts.v1",
            self._positions,
            self.metrics,
            LostOffsets(on_lost_offsets, self.metrics),
            make_client=self._make_client,
        )

    def _make_client(self, config: Mapping[str, Any], **_: Any) -> FakeConsumer:
        self.config = config
        return self.client

    def _positions(self) -> Mapping[TopicPartition, int]:
        if isinstance(self.positions, Exception):
            raise self.positions
        return self.positions

    def read(self) -> list[tuple[int, int]]:
        """Offset and previous end of the messages that a poll returns."""
        return [(consumed.message.offset, consumed.previous_end) for consumed in self.consumer.poll(0)]

    def give(self) -> None:
        self.client.on_assign(self.client, [ClientTopicPartition("alerts.v1", 0)])

    def take_away(self) -> None:
        self.client.on_revoke(self.client, [ClientTopicPartition("alerts.v1", 0)])

    def begins_at(self) -> list[int]:
        return [partition.offset for partition in self.client.assigned]

    def lost(self) -> float | None:
        return self.metrics.registry.get_sample_value("cardwatch_messages_lost_total", {"topic": "alerts.v1"})

    def lag(self) -> float | None:
        return self._gauge("cardwatch_consumer_lag_messages")

    def position(self) -> float | None:
        return self._gauge("cardwatch_consumer_position_offset")

    def _gauge(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"topic": "alerts.v1", "partition": "0"})


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_reading_begins_where_the_store_says(bench: Bench) -> None:
    bench.give()
    assert bench.begins_at() == [7]
    bench.positions = {}
    bench.give()
    assert bench.begins_at() == [50], "where the group has committed"
    bench.client.committed_offset = OFFSET_INVALID
    bench.client.bounds = (30, 100)
    bench.give()
    assert bench.begins_at() == [30], "the first message that is there"
    assert bench.client.committed_offsets == [[7], [50], [30]], (
        "what begins is committed, for partitions without traffic"
    )


def test_offsets_that_are_gone_end_the_reading_with_a_sentence(bench: Bench) -> None:
    bench.client.bounds = (60, 100)
    bench.give()
    expected = (
        r"alerts\.v1, partition 0: expected to read on at offset 7, the first that the broker has is 60: 53 offsets"
    )
    with pytest.raises(LostOffsetsError, match=expected + ".*CARDWATCH_ON_LOST_OFFSETS=continue"):
        bench.consumer.poll(0)
    assert (bench.begins_at(), bench.client.committed_offsets, bench.lost()) == ([], [], 0)


def test_offsets_of_another_log_end_the_reading(bench: Bench) -> None:
    bench.client.bounds = (0, 5)
    bench.give()
    with pytest.raises(
        LostOffsetsError, match="offset 7, the broker's log ends at 5: the topic was deleted and created"
    ):
        bench.consumer.poll(0)


def test_where_that_was_chosen_reading_goes_on_and_the_loss_is_counted() -> None:
    bench = Bench("continue")
    bench.client.bounds = (60, 100)
    bench.give()
    bench.client.offsets = [60]
    assert bench.read() == [(60, 7)], "the gap is visible to the store"
    assert (bench.lost(), bench.client.committed_offsets) == (53, [[60]])


def test_messages_deleted_while_it_reads_are_noticed(bench: Bench) -> None:
    bench.give()
    assert bench.config["auto.offset.reset"] == "error", "librdkafka must not choose another offset"
    bench.client.bounds = (60, 100)
    bench.client.error = KafkaError(KafkaError._AUTO_OFFSET_RESET, "offset out of range")
    assert bench.consumer.poll(0) == []
    with pytest.raises(LostOffsetsError):
        bench.consumer.poll(0)


def test_nothing_is_read_while_the_store_does_not_answer(bench: Bench) -> None:
    bench.positions = OffsetsUnavailableError("the store does not answer")
    bench.give()
    bench.client.offsets = [50]
    assert (bench.begins_at(), bench.consumer.poll(0), bench.consumer.assigned) == ([], [], False)
    bench.positions = {bench.partition: 7}
    bench.client.offsets = [7]
    assert [offset for offset, _ in bench.read()] == [7]
    assert (bench.begins_at(), bench.consumer.assigned) == ([7], True)


def test_a_partition_revoked_before_reading_began_is_not_read(bench: Bench) -> None:
    bench.positions = OffsetsUnavailableError("the store does not answer")
    bench.give()
    bench.take_away()
    bench.positions = {bench.partition: 7}
    assert (bench.consumer.poll(0), bench.begins_at()) == ([], [])


def test_each_message_carries_the_end_of_the_previous_one(bench: Bench) -> None:
    bench.give()
    bench.client.offsets = [7, 8, 12]
    assert bench.read() == [(7, 7), (8, 8), (12, 9)]
    bench.positions = {}
    bench.give()
    bench.client.offsets = [50]
    assert bench.read() == [(50, 0)], "the store knew none"


def test_rewound_it_reads_from_the_stored_position_again(bench: Bench) -> None:
    bench.give()
    bench.client.offsets = [7, 8]
    bench.consumer.poll(0)
    bench.positions = {bench.partition: 3}
    bench.consumer.rewind()
    assert (bench.begins_at(), bench.consumer.assigned) == ([], False)
    bench.client.offsets = [3]
    assert bench.read() == [(3, 3)]
    assert bench.begins_at() == [3]


def test_a_revoked_partition_has_no_metrics(bench: Bench) -> None:
    bench.give()
    assert bench.lag() == 93
    bench.take_away()
    assert bench.lag() is None
    bench.consumer.commit({bench.partition: 9})
    assert (bench.lag(), bench.client.committed_offsets) == (None, [[7]])


def test_messages_that_are_being_processed_count_as_lag(bench: Bench) -> None:
    bench.give()
    bench.client.offsets = [7, 98, 99]
    bench.consumer.poll(0)
    assert (bench.position(), bench.lag()) == (7, 93), "the client is past them, the store is not"
    bench.consumer.commit({bench.partition: 100})
    assert bench.position() == 100


def test_offsets_without_a_message_do_not_count_as_a_gap(bench: Bench) -> None:
    """Of aborted transactions and of the markers at the end of each transaction the client returns nothing."""
    bench.give()
    bench.client.offsets = [7, 9]  # 8 is a marker
    assert bench.read() == [(7, 7), (9, 8)]
    bench.client.offsets = [111]  # 10 to 110 were aborted
    assert bench.read() == [(111, 10)]


def test_a_fatal_error_ends_the_reading(bench: Bench) -> None:
    bench.client.error = KafkaError(KafkaError._FATAL, "fenced", fatal=True)
    with pytest.raises(KafkaClientError, match=r"reading alerts\.v1 ended: fenced; check whether another member"):
        bench.consumer.poll(0)
    assert bench.metrics.registry.get_sample_value("cardwatch_errors_total", {"kind": "kafka"}) == 1
