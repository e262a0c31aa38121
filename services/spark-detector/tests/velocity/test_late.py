"""Transactions that arrived too late are published."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_detector.velocity.late.late_publisher import LatePublisher, LateTopics, late_transactions
from cardwatch_detector.velocity.metrics import LATE_TOTAL, LateMetrics
from cardwatch_detector.velocity.operator import LATE
from cardwatch_kafka.messages import OutgoingMessage, ReceivedMessage
from cardwatch_service.metrics import PUBLISHED_TOTAL, Metrics
from structlog.testing import capture_logs
from support.records import enriched_record
from support.registry import InMemoryRegistry

HOUR = 3_600_000_000
NOON = 1_795_478_400_000_000 + 12 * HOUR
TOPICS = LateTopics("p.silver", "p.transactions.late.v1")
SCHEMA_ID = 7
LATE_TYPES = (pa.int64(), pa.string(), pa.int32(), pa.int64(), pa.int64())
LATE_SCHEMA = pa.schema(list(zip(LATE, LATE_TYPES, strict=True)))

encode = Encoder("enriched_transaction", SCHEMA_ID)
decode = Decoder("enriched_transaction", InMemoryRegistry({"enriched_transaction": SCHEMA_ID}))


def message(partition: int, offset: int, card: str = "a") -> ReceivedMessage:
    record = enriched_record(transaction_id=f"t{offset}", event_time=NOON, card_token=card)
    return ReceivedMessage(TOPICS.silver, partition, offset, None, encode(record))


def rows(*places: tuple[str, int, int], watermark: int = NOON + 12 * HOUR) -> pa.Table:
    """The operator's rows of late transactions, each of scope, partition and offset."""
    return pa.Table.from_pylist(
        [dict(zip(LATE, (NOON, *place, watermark), strict=True)) for place in places], LATE_SCHEMA
    )


class Topic:
    """A fake for both topics: the silver messages that are read, and the late ones that are published."""

    def __init__(self, *messages: ReceivedMessage) -> None:
        self.messages = messages
        self.asked: list[tuple[Mapping[int, int], Mapping[int, int]]] = []
        self.published: list[OutgoingMessage] = []
        self.down = False

    def read(self, topic: str, start: Mapping[int, int], end: Mapping[int, int]) -> Iterator[ReceivedMessage]:
        assert topic == TOPICS.silver
        self.asked.append((start, end))
        yield from self.messages

    def publish(self, messages: Iterable[OutgoingMessage]) -> int:
        if self.down:
            raise CardwatchError("down")
        self.published += messages
        return len(self.published)


def make_publisher(topic: Topic) -> tuple[LatePublisher, Metrics]:
    metrics = Metrics()
    return LatePublisher("here", TOPICS, topic, decode, topic, LateMetrics(metrics, "p.", ())), metrics


def test_a_transaction_is_one_whatever_the_number_of_its_scopes() -> None:
    found = late_transactions(rows(("merchant", 1, 41), ("card", 0, 7), ("card", 1, 41)))
    assert [(one.partition, one.offset, one.scopes) for one in found] == [
        (0, 7, ("card",)),
        (1, 41, ("card", "merchant")),
    ]


def test_late_transactions_are_published_unchanged_and_counted() -> None:
    late, in_time = message(1, 41), message(1, 42)
    topic = Topic(late, in_time, message(1, 50))
    late_publisher, metrics = make_publisher(topic)
    with capture_logs() as logs:
        late_publisher.publish("velocity-card-device", rows(("card", 1, 41), ("device", 1, 41), ("card", 1, 50)))
    assert topic.asked == [({1: 41}, {1: 51})], "only what lies between them is read again"
    published, _ = topic.published
    assert (published.topic, published.key, published.value) == (TOPICS.late, b"a", late.value)
    assert dict(published.headers) == {
        "detector": b"here",
        "query": b"velocity-card-device",
        "scopes": b"card,device",
        "watermark_us": str(NOON + 12 * HOUR).encode(),
        "silver_partition": b"1",
        "silver_offset": b"41",
    }
    value: Any = metrics.registry.get_sample_value
    assert [value(LATE_TOTAL, {"scope": scope}) for scope in ("card", "device")] == [2, 1]
    assert value(PUBLISHED_TOTAL, {"topic": "p.transactions.late.v1"}) == 2
    (line,) = logs
    assert (line["transactions"], line["scopes"]) == (2, {"card": 2, "device": 1})
    assert line["latest_by_seconds"] == 12 * 3600


def test_unacknowledged_late_transactions_are_not_counted() -> None:
    topic = Topic(message(1, 41))
    topic.down = True
    late_publisher, metrics = make_publisher(topic)
    with pytest.raises(CardwatchError):
        late_publisher.publish("velocity-card-device", rows(("card", 1, 41)))
    assert metrics.registry.get_sample_value(LATE_TOTAL, {"scope": "card"}) is None


def test_a_late_transaction_that_the_broker_has_deleted_is_logged() -> None:
    topic = Topic(message(1, 41))
    late_publisher, metrics = make_publisher(topic)
    with capture_logs() as logs:
        late_publisher.publish("velocity-card-device", rows(("card", 1, 40), ("card", 1, 41)))
    assert [(line["log_level"], line["transactions"]) for line in logs] == [("info", 1), ("warning", 1)]
    assert len(topic.published) == 1
    assert metrics.registry.get_sample_value(LATE_TOTAL, {"scope": "card"}) == 1
