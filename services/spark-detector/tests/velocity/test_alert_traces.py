"""An alert continues the trace of the transaction whose arrival raised it, in any order in which messages are read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_detector.runtime.spark_offsets import OffsetRange
from cardwatch_detector.velocity.publishing.alert_traces import AlertTraces
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_service.trace_context import extract_context
from structlog.testing import capture_logs
from support.recorded_spans import RecordingTracer, id_of, parent_id_of, parent_of
from support.records import alert_record, enriched_record
from support.registry import InMemoryRegistry

SILVER_ID, ALERT_ID = 3, 4
START = {"silver": {"0": 10, "1": 20}, "profiles": {"0": 1}}
END = {"silver": {"0": 12, "1": 25}, "profiles": {"0": 9}}
BEGAN_US = 1_795_564_800_000_000
TRACE = "4bf92f3577b34da6a3ce929d0e0e473"


class Topic:
    """The silver topic: returns its messages in the given order."""

    def __init__(self, *messages: ReceivedMessage) -> None:
        self.messages = messages
        self.asked: list[tuple[Mapping[int, int], Mapping[int, int]]] = []
        self.away = False

    def read(self, topic: str, start: Mapping[int, int], end: Mapping[int, int]) -> Iterator[ReceivedMessage]:
        assert topic == "silver"
        self.asked.append((start, end))
        if self.away:
            raise CardwatchError("the broker is away")
        yield from self.messages


def context(number: int, flags: str = "01") -> str:
    """A trace of its own, whose last step is also called ``number``."""
    return f"00-{TRACE}{number}-{number:016x}-{flags}"


def silver(number: int, broker_us: int, *, flags: str = "01", at: tuple[int, int] = (1, 20), **fields: Any) -> Any:
    """The silver message of transaction ``t<number>``, in trace ``number``."""
    record = enriched_record(**{"transaction_id": f"t{number}", "event_time": broker_us, **fields})
    value = Encoder("enriched_transaction", SILVER_ID)(record)
    headers = (("traceparent", context(number, flags).encode()),)
    return ReceivedMessage("silver", *at, None, value, headers)


def alert(number: int, broker_us: int, **fields: Any) -> bytes:
    """The alert for transaction ``t<number>``, caused by what the broker appended at that time."""
    about = enriched_record(transaction_id=f"t{number}", event_time=broker_us)
    record = alert_record(about, **{"alert_id": f"a{number}", "rule_id": "r", "detected_at": BEGAN_US + 70, **fields})
    return Encoder("alert", ALERT_ID)(record)


def traces(recorded: RecordingTracer, topic: Topic) -> AlertTraces:
    registry = InMemoryRegistry({"enriched_transaction": SILVER_ID, "alert": ALERT_ID})
    return AlertTraces(
        recorded.tracer,
        "silver",
        topic,
        decode_silver=Decoder("enriched_transaction", registry),
        decode_alert=Decoder("alert", registry),
    )


def contexts(made: AlertTraces, *alerts: bytes, end: Any = END) -> Sequence[str | None]:
    with made.headers_of(alerts, OffsetRange(START, end), BEGAN_US) as headers:
        return [extract_context(some) for some in headers]


def test_an_alert_continues_its_transactions_trace() -> None:
    recorded = RecordingTracer()
    topic = Topic(
        silver(1, 100),
        silver(2, 200, at=(0, 11)),
        silver(3, 300, flags="00"),
        ReceivedMessage("silver", 0, 10, None, b"x"),
    )
    found = contexts(traces(recorded, topic), alert(2, 200), alert(3, 300), alert(4, 400))
    assert found[0] is not None
    assert found[0].startswith(f"00-{TRACE}2-")
    assert found[1:] == [None, None], "an unsampled trace has no span"
    assert topic.asked == [({0: 10, 1: 20}, {0: 12, 1: 25})]
    (span,) = recorded.spans()
    assert parent_id_of(span) == f"{2:016x}"
    assert id_of(span) == parent_of(found[0])
    assert (span.name, span.kind.name) == ("process silver", "CONSUMER")
    assert dict(span.attributes) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "silver",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 11,
        "cardwatch.alert_id": "a2",
        "cardwatch.rule_id": "r",
        "cardwatch.outcome": "raised",
    }
    assert span.start_time == BEGAN_US * 1000
    assert [(event.name, event.timestamp) for event in span.events] == [("evaluated", (BEGAN_US + 70) * 1000)]
    assert "400000" not in span.to_json(), "no BIN, no amount, no key"


def test_a_late_transaction_is_the_cause_of_anothers_alert() -> None:
    """t9 arrived first; t1, of the same card, arrived late and changed the result: the alert has its broker time."""
    others = silver(2, 100, card_token="d"), silver(3, 101, card_token="c")
    found = contexts(traces(RecordingTracer(), Topic(*others, silver(1, 100, card_token="c"))), alert(9, 100, key="c"))
    assert found[0] is not None
    assert found[0].startswith(f"00-{TRACE}1-")


@pytest.mark.parametrize(
    ("scope", "field"), [("merchant", "merchant_id"), ("device", "device_id"), ("bin", "card_bin")]
)
def test_the_cause_is_of_the_same_key(scope: str, field: str) -> None:
    topic = Topic(silver(1, 100, **{field: "k1"}), silver(2, 100, **{field: "k2"}))
    found = contexts(traces(RecordingTracer(), topic), alert(9, 100, scope=scope, key="k2"))
    assert found[0] is not None
    assert found[0].startswith(f"00-{TRACE}2-")


def test_of_a_repeated_transaction_the_arrival_that_the_alert_names_is_the_cause() -> None:
    topic = Topic(silver(1, 100), ReceivedMessage("silver", 0, 10, None, *silver_again(1, 90)))
    made = traces(RecordingTracer(), topic)
    assert [(found or "")[:35] for found in contexts(made, alert(1, 100), alert(1, 90))] == [
        f"00-{TRACE}1",
        f"00-{TRACE}7",
    ]


def silver_again(number: int, broker_us: int) -> tuple[bytes, Any]:
    again = silver(number, broker_us)
    return again.value, (("traceparent", context(7).encode()),)


def test_a_repeated_micro_batch_finds_the_same_traces() -> None:
    first, second = silver(1, 100, at=(1, 20), card_token="c"), silver(2, 100, at=(0, 11), card_token="c")
    found = [
        contexts(traces(RecordingTracer(), Topic(*messages)), alert(9, 100, key="c"))[0] or ""
        for messages in ((first, second), (second, first))
    ]
    assert found[0][:35] == found[1][:35] == f"00-{TRACE}2", "the first by its place, not by its arrival here"


def test_undecodable_messages_are_skipped() -> None:
    nonsense = ReceivedMessage("silver", 0, 10, None, b"nonsense", (("traceparent", context(3).encode()),))
    assert contexts(traces(RecordingTracer(), Topic(nonsense)), alert(3, 100)) == [None]


def test_alerts_are_published_without_traces_if_the_broker_cannot_be_read() -> None:
    recorded, topic = RecordingTracer(), Topic(silver(1, 100))
    topic.away = True
    made = traces(recorded, topic)
    with capture_logs() as logs:
        assert contexts(made, alert(1, 100)) == [None]
        assert contexts(made, alert(1, 100)) == [None]
    assert [line["reason"] for line in logs] == ["the broker is away"], "once, not for each micro-batch"
    topic.away = False
    assert contexts(made, alert(1, 100)) != [None]


def test_a_micro_batch_that_catches_up_is_not_read_again() -> None:
    topic = Topic(silver(1, 100))
    assert contexts(traces(RecordingTracer(), topic), alert(1, 100), end={"silver": {"0": 11_000, "1": 25}}) == [None]
    assert topic.asked == []


def test_spans_of_unpublished_alerts_end_with_an_error() -> None:
    recorded = RecordingTracer()
    made = traces(recorded, Topic(silver(1, 100)))
    with pytest.raises(CardwatchError), made.headers_of([alert(1, 100)], OffsetRange(START, END), BEGAN_US):
        raise CardwatchError("the broker does not take it")
    (span,) = recorded.spans()
    assert span.attributes["error.type"] == "CardwatchError"
