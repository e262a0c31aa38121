"""Transactions that arrived too late are found and published."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.subject_schemas import SubjectSchemas
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_detector.runtime.spark_offsets import OffsetRange
from cardwatch_detector.velocity.late.dropped_rows import DroppedRows
from cardwatch_detector.velocity.late.event_times import EventTimeReader
from cardwatch_detector.velocity.late.late_publisher import LatePublisher, LateTopics
from cardwatch_detector.velocity.late.late_search import LateSearch
from cardwatch_detector.velocity.metrics import LATE_TOTAL, LateMetrics
from cardwatch_detector.velocity.state.groups import group_ends
from cardwatch_kafka.messages import OutgoingMessage, ReceivedMessage
from cardwatch_service.metrics import PUBLISHED_TOTAL, Metrics
from structlog.testing import capture_logs
from support.records import enriched_record
from support.registry import InMemoryRegistry

HOUR = 3_600_000_000
NOON = 1_795_478_400_000_000 + 12 * HOUR
TOPICS = LateTopics("p.silver", "p.transactions.late.v1")
KEYS = {"card": "card_token", "device": "device_id"}
HORIZONS = {"card": 6 * HOUR, "device": HOUR}
SCHEMA_ID = 7

encode = Encoder("enriched_transaction", SCHEMA_ID)


REGISTRY = InMemoryRegistry({"enriched_transaction": SCHEMA_ID})
SCHEMAS = SubjectSchemas("enriched_transaction", REGISTRY, "transactions.silver.v1-value")


def make_search(decode: Callable[[bytes | None], dict[str, Any]]) -> LateSearch:
    return LateSearch(event_time=EventTimeReader(SCHEMAS).read, decode=decode, keys=KEYS, horizons_us=HORIZONS)


@pytest.fixture
def search() -> LateSearch:
    return make_search(Decoder("enriched_transaction", REGISTRY))


def message(offset: int, event_us: int, card: str = "a", device: str | None = None) -> ReceivedMessage:
    record = enriched_record(transaction_id=f"t{offset}", event_time=event_us, card_token=card, device_id=device)
    return ReceivedMessage("p.silver", 1, offset, None, encode(record))


@pytest.mark.parametrize(
    ("event_us", "ends"),
    [(0, (10, 20)), (9, (10, 20)), (10, (20, 30)), (-1, (0, 10)), (-10, (0, 10)), (-11, (-10, 0))],
)
def test_the_groups_of_an_event(event_us: int, ends: tuple[int, int]) -> None:
    assert group_ends(event_us, event_us % 10, 10) == ends


def test_a_group_is_evicted_when_the_watermark_reaches_its_end(search: LateSearch) -> None:
    # The card's groups of 11:59 end at 12:00 and 18:00.
    at = NOON - HOUR // 60
    assert search.find([message(0, at)], NOON - 1).transactions == []
    found = search.find([message(0, at)], NOON)
    assert [(late.event_us, late.scopes, late.card_token) for late in found.transactions] == [(at, ("card",), "a")]
    assert found.groups == 1, "in the other it still is history"
    assert search.find([message(0, at)], NOON + 6 * HOUR).groups == 2


def test_each_scope_has_its_own_groups(search: LateSearch) -> None:
    # At 12:30 the device's groups end at 13:00 and 14:00, the card's at 18:00 and 24:00.
    found = search.find([message(0, NOON + HOUR // 2, device="d")], NOON + HOUR)
    assert [late.scopes for late in found.transactions] == [("device",)]
    assert search.find([message(0, NOON + HOUR // 2, device="d")], NOON + 6 * HOUR).transactions[0].scopes == (
        "card",
        "device",
    )
    assert search.find([message(0, NOON + HOUR // 2)], NOON + HOUR).transactions == [], (
        "no device, so none of its windows"
    )


def test_transactions_of_one_group_are_one_dropped_row(search: LateSearch) -> None:
    messages = [message(0, NOON), message(1, NOON + 5), message(2, NOON, card="b"), message(3, NOON, device="d")]
    found = search.find(messages, NOON + 24 * HOUR)
    assert [late.message.offset for late in found.transactions] == [0, 1, 2, 3]
    assert found.groups == 2 * (2 + 1), "two cards and a device, in two groups each"


def test_an_undecodable_message_is_in_no_group(search: LateSearch) -> None:
    nobodys_schema = b"\0\0\0\0\x09abc"
    broken = [
        ReceivedMessage("p.silver", 0, offset, None, value)
        for offset, value in enumerate((None, b"{}", nobodys_schema))
    ]
    assert search.find(broken, NOON + 24 * HOUR).groups == 0


def test_the_event_time_is_read_without_decoding_the_rest() -> None:
    event_time = EventTimeReader(SCHEMAS).read
    value = message(0, NOON).value
    assert value is not None
    assert event_time(value) == NOON
    assert event_time(value[:30]) == NOON, "what follows is not looked at"
    assert [event_time(bad) for bad in (None, b"", b"{}", b"\0\0", value[:7], b"\0\0\0\0\x09abc")] == [None] * 6


def test_messages_ahead_of_the_watermark_are_not_decoded() -> None:
    decoded: list[bytes | None] = []

    def decode(value: bytes | None) -> dict[str, Any]:
        decoded.append(value)
        return Decoder("enriched_transaction", REGISTRY)(value)

    early, late = message(0, NOON - 1), message(1, NOON)
    search = make_search(decode)
    assert [found.event_us for found in search.find([early, late], NOON).transactions] == [NOON - 1]
    assert decoded == [early.value]


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


def make_publisher(topic: Topic, search: LateSearch) -> tuple[LatePublisher, Metrics]:
    metrics = Metrics()
    return LatePublisher("here", TOPICS, topic, search, topic, LateMetrics(metrics, "p.", ())), metrics


def dropped(rows: int, watermark_us: int, **others: dict[str, int]) -> DroppedRows:
    offsets = OffsetRange({"p.silver": {"1": 40}}, {"p.silver": {"0": 0, "1": 50}, **others})
    return DroppedRows(rows, watermark_us, offsets)


def test_late_transactions_are_published_unchanged_and_counted(search: LateSearch) -> None:
    late, in_time = message(41, NOON, device="d"), message(42, NOON + 24 * HOUR, device="d")
    topic = Topic(late, in_time)
    late_publisher, metrics = make_publisher(topic, search)
    with capture_logs() as logs:
        late_publisher.publish("velocity-card-device", dropped(4, NOON + 12 * HOUR))
    assert topic.asked == [({1: 40}, {0: 0, 1: 50})]
    (published,) = topic.published
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
    assert [value(LATE_TOTAL, {"scope": scope}) for scope in KEYS] == [1, 1]
    assert value(PUBLISHED_TOTAL, {"topic": "p.transactions.late.v1"}) == 1
    (line,) = logs
    assert (line["transactions"], line["scopes"]) == (1, {"card": 1, "device": 1})
    assert line["latest_by_seconds"] == 12 * 3600


def test_unacknowledged_late_transactions_are_not_counted(search: LateSearch) -> None:
    topic = Topic(message(41, NOON))
    topic.down = True
    late_publisher, metrics = make_publisher(topic, search)
    with pytest.raises(CardwatchError):
        late_publisher.publish("velocity-card-device", dropped(2, NOON + 24 * HOUR))
    assert metrics.registry.get_sample_value(LATE_TOTAL, {"scope": "card"}) is None


@pytest.mark.parametrize(
    ("rows", "others", "warned"),
    [
        (2, {}, False),
        (3, {}, True),
        (1, {}, True),
        # A row of another topic may have been dropped too: more rows than expected are possible, fewer are not.
        (3, {"profiles": {"0": 1}}, False),
        (1, {"profiles": {"0": 1}}, True),
    ],
)
def test_a_difference_to_the_rows_that_spark_dropped_is_logged(
    search: LateSearch, rows: int, others: dict[str, dict[str, int]], warned: bool
) -> None:
    topic = Topic(message(41, NOON))
    late_publisher, _ = make_publisher(topic, search)
    with capture_logs() as logs:
        late_publisher.publish("velocity-card-device", dropped(rows, NOON + 24 * HOUR, **others))
    assert [line["log_level"] for line in logs] == ["info", *["warning"] * warned]
    assert len(topic.published) == 1, "it is kept in any case"
