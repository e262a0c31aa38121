"""How the range reader detects the end of a range, with a fake client."""

from collections.abc import Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from cardwatch_kafka.errors import BrokerUnavailableError, KafkaClientError, MissingTopicError
from cardwatch_kafka.messages import ReceivedMessage, TopicPartition
from cardwatch_kafka.range_reader import RangeReader, in_batches
from cardwatch_kafka.topic_follower import TopicFollower
from confluent_kafka import OFFSET_BEGINNING, TIMESTAMP_CREATE_TIME, KafkaError, KafkaException

CONNECTION: dict[str, Any] = {"bootstrap.servers": "broker:9092"}


class FakeMessage:
    def __init__(self, partition: int, offset: int, error: int | None = None) -> None:
        self._partition, self._offset, self._error = partition, offset, error

    def error(self) -> KafkaError | None:
        return None if self._error is None else KafkaError(self._error)

    def topic(self) -> str:
        return "topic"

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"

    def headers(self) -> list[tuple[str, bytes]]:
        return [("name", b"content")]

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, 5


def end_of_partition(partition: int, offset: int) -> FakeMessage:
    return FakeMessage(partition, offset, KafkaError._PARTITION_EOF)


class FakeClient:
    """Gives ``messages`` once its partitions are assigned, and says where partitions end as ``ends`` does in turn."""

    def __init__(self, messages: Sequence[FakeMessage] = (), ends: Sequence[int | KafkaException] = ()) -> None:
        self.messages = list(messages)
        self.ends = list(ends)
        self.assigned: list[tuple[int, int]] = []
        self.is_assigned = False
        self.config: dict[str, Any] = {}

    def __call__(self, config: dict[str, Any], logger: Any) -> "FakeClient":
        self.config = config
        return self

    def assign(self, partitions: list[Any]) -> None:
        self.assigned = [(one.partition, one.offset) for one in partitions]
        self.is_assigned = True

    def unassign(self) -> None:
        self.is_assigned = False

    def poll(self, timeout: float) -> FakeMessage | None:
        return self.messages.pop(0) if self.messages else None

    def consume(self, limit: int, timeout: float) -> list[FakeMessage]:
        taken, self.messages = self.messages[:limit], self.messages[limit:]
        return taken

    def offsets_for_times(self, partitions: list[Any], timeout: float) -> list[Any]:
        end = self.ends.pop(0)
        if isinstance(end, KafkaException):
            raise end
        for one in partitions:
            one.offset = end
        return partitions


def read(client: FakeClient, start: dict[int, int], end: dict[int, int]) -> list[tuple[int, int]]:
    reader = RangeReader(CONNECTION, "test", silence_seconds=0.2, make_client=client)
    found = [(message.partition, message.offset) for message in reader.read("topic", start, end)]
    assert not client.is_assigned
    return found


def test_partitions_are_read_from_their_starts_to_their_ends() -> None:
    client = FakeClient([FakeMessage(0, 3), FakeMessage(1, 0), FakeMessage(0, 4), FakeMessage(1, 1), FakeMessage(0, 5)])
    assert read(client, {0: 3}, {0: 5, 1: 2, 2: 0}) == [(0, 3), (1, 0), (0, 4), (1, 1)]
    assert client.assigned == [(0, 3), (1, OFFSET_BEGINNING)], "an empty partition is not asked for"


def test_a_message_beyond_the_range_or_the_partitions_end_closes_a_range_whose_last_offsets_hold_no_message() -> None:
    assert read(FakeClient([FakeMessage(0, 3), FakeMessage(0, 9)]), {0: 3}, {0: 6}) == [(0, 3)]
    assert read(FakeClient([FakeMessage(0, 3), end_of_partition(0, 6)]), {0: 3}, {0: 6}) == [(0, 3)]


def test_a_partition_that_ends_before_its_range_is_waited_for() -> None:
    early = FakeClient([FakeMessage(0, 3), end_of_partition(0, 4), FakeMessage(0, 4), FakeMessage(0, 5)])
    assert read(early, {0: 3}, {0: 6}) == [(0, 3), (0, 4), (0, 5)]
    with pytest.raises(BrokerUnavailableError, match="sent no message of topic"):
        read(FakeClient([FakeMessage(0, 3), end_of_partition(0, 4)]), {0: 3}, {0: 6})


def test_a_range_that_is_not_reached_ends_although_another_partition_goes_on() -> None:
    """As behind a transaction that stays open, while new messages come in elsewhere."""

    class EndlessClient(FakeClient):
        def poll(self, timeout: float) -> FakeMessage | None:
            return super().poll(timeout) or FakeMessage(1, 7)

    with pytest.raises(BrokerUnavailableError, match="sent no message of topic"):
        read(EndlessClient([FakeMessage(0, 3), end_of_partition(0, 4)]), {0: 3, 1: 0}, {0: 6, 1: 1})


def test_an_empty_range_is_read_without_the_broker() -> None:
    client = FakeClient()
    assert read(client, {0: 6}, {0: 6}) == []
    assert client.config == {}, "no client was created"


def test_silence_is_an_error_that_names_the_last_problem() -> None:
    with pytest.raises(BrokerUnavailableError, match=r"broker:9092 sent no message of topic for 0 s: .*[Tt]ransport"):
        read(FakeClient([FakeMessage(0, 0, KafkaError._TRANSPORT)]), {0: 0}, {0: 6})


def test_permanent_errors_are_raised_at_once() -> None:
    with pytest.raises(KafkaClientError, match="topic topic at broker:9092 may not be read"):
        read(FakeClient([FakeMessage(0, 0, KafkaError.TOPIC_AUTHORIZATION_FAILED)]), {0: 0}, {0: 6})


def test_a_message_becomes_a_plain_value() -> None:
    reader = RangeReader(CONNECTION, "test", make_client=FakeClient([FakeMessage(0, 0)]))
    (message,) = reader.read("topic", {}, {0: 1})
    assert message == ("topic", 0, 0, b"k", b"v", (("name", b"content"),), 5_000)
    assert message.topic_partition == TopicPartition("topic", 0)


def test_partitions_are_asked_for_again_while_leaders_change() -> None:
    answers: list[Any] = [
        KafkaException(KafkaError(KafkaError._TRANSPORT)),
        SimpleNamespace(error=KafkaError(KafkaError.LEADER_NOT_AVAILABLE), partitions={}),
        SimpleNamespace(error=None, partitions={1: None, 0: None}),
        SimpleNamespace(error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), partitions={}),
    ]

    class Client(FakeClient):
        def list_topics(self, topic: str, timeout: float) -> Any:
            answer = answers.pop(0)
            if isinstance(answer, KafkaException):
                raise answer
            return SimpleNamespace(topics={topic: answer})

    reader = RangeReader(CONNECTION, "test", make_client=Client())
    assert reader.partitions("topic") == [0, 1]
    with pytest.raises(MissingTopicError):
        reader.partitions("topic")


def test_an_end_offset_is_requested_again_while_leaders_change() -> None:
    changing = KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))
    client = FakeClient(ends=[changing, 7])
    reader = RangeReader(CONNECTION, "test", make_client=client)
    assert reader.end_offset(TopicPartition("topic", 0), timeout_seconds=5.0) == 7
    client.ends = [changing] * 10
    with pytest.raises(KafkaClientError, match="topic topic at broker:9092 cannot be read"):
        reader.end_offset(TopicPartition("topic", 0), timeout_seconds=0.2)


def test_a_follower_returns_messages_ends_and_problems() -> None:
    client = FakeClient([FakeMessage(0, 0), end_of_partition(0, 1)])
    follower = TopicFollower(CONNECTION, "test", [TopicPartition("topic", 0)], make_client=client)
    assert follower.topics == {"topic"}
    batch = follower.poll(0.1)
    assert ([message.offset for message in batch.messages], batch.at_end, batch.problem) == ([0], {"topic"}, "")
    client.messages = [FakeMessage(0, 1, KafkaError.UNKNOWN_TOPIC_OR_PART)]
    assert "`cardwatch schemas apply`" in follower.poll(0.1).problem
    assert follower.poll(0.1).problem == "", "a problem is reported once"


@pytest.mark.parametrize(
    ("size", "expected"), [(10, 1_000), (8 * 1024, 512), (1024 * 1024, 4), (3 * 1024 * 1024, 2), (5 * 1024 * 1024, 1)]
)
def test_a_batch_is_bounded_in_number_and_size_before_the_next_message_is_asked_for(size: int, expected: int) -> None:
    endless = (ReceivedMessage("t", 0, offset, None, bytes(size)) for offset in count())
    batches = in_batches(endless)
    assert [len(next(batches)) for _ in range(3)] == [expected] * 3
    assert next(endless).offset == 3 * expected


def test_the_last_batch_is_what_is_left() -> None:
    messages = [ReceivedMessage("t", 0, offset, b"k", None) for offset in range(2_500)]
    batches = list(in_batches(messages))
    assert [len(batch) for batch in batches] == [1_000, 1_000, 500]
    assert [message for batch in batches for message in batch] == messages
    assert list(in_batches([])) == []


def test_first_offsets_and_those_of_a_time_are_asked_for_like_ends() -> None:
    class Client(FakeClient):
        def list_topics(self, topic: str, timeout: float) -> Any:
            return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={1: None, 0: None})})

        def offsets_for_times(self, partitions: list[Any], timeout: float) -> list[Any]:
            answers = {-1: (10, 20), -2: (3, 20), 5_000: (7, -1)}
            for one in partitions:
                one.offset = answers[one.offset][one.partition]
            return partitions

    reader = RangeReader(CONNECTION, "test", make_client=Client())
    assert reader.first_offsets("topic") == {0: 3, 1: 20}
    assert reader.offsets_since("topic", 5_000) == {0: 7, 1: 20}, "nothing is as late: its end"
