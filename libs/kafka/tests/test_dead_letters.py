"""The record of a refused message, and the writer, which shortens only messages that are too large."""

from hashlib import sha256
from typing import Any

import pytest
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_kafka.dead_letters import (
    DeadLetter,
    DeadLetterError,
    DeadLetterWriter,
    build_dead_letter,
    build_last_resort_letter,
    build_or_last_resort,
    encode_dead_letter,
    mask_message,
    shorten_dead_letter,
)
from cardwatch_kafka.messages import OutgoingMessage, ReceivedMessage, broker_time_from
from cardwatch_kafka.polling import received_message
from cardwatch_kafka.producer import DeliveryResult, FailedDelivery
from confluent_kafka import KafkaError
from support.registry import InMemoryRegistry

CARD_NUMBER, MASKED = "4111111111111111", "*" * 16
SOURCE = ReceivedMessage(
    "alerts.v1", 2, 7, CARD_NUMBER.encode(), b"value", (("name", CARD_NUMBER.encode()), ("empty", None)), 5
)
ERROR = RefusedError(Reason.UNDECODABLE_AVRO, f"{CARD_NUMBER} is not readable")


def letter(source: ReceivedMessage = SOURCE) -> DeadLetter:
    return build_dead_letter(source, ERROR.reason, mask_message(source, ERROR), service="test", refused_at=9)


class FakeProducer:
    """Answers each delivery with the next error of ``answers``."""

    servers = "broker:9092"

    def __init__(self, *answers: DeliveryResult) -> None:
        self.answers = list(answers)
        self.delivered: list[list[OutgoingMessage]] = []

    def deliver(self, messages: list[OutgoingMessage], timeout_seconds: float) -> DeliveryResult:
        self.delivered.append(messages)
        return self.answers.pop(0)


def writer(producer: Any) -> DeadLetterWriter:
    encode: Any = lambda record: repr(record).encode()  # noqa: E731
    return DeadLetterWriter(producer, "dlq", encode, 30.0)


def failed(code: int) -> DeliveryResult:
    return DeliveryResult(1, [FailedDelivery(0, "dlq", KafkaError(code))])


def test_all_parts_of_a_dead_letter_are_masked_and_marked_as_redacted() -> None:
    record = letter().record
    assert (record["key"], record["value"], record["detail"]) == (
        MASKED.encode(),
        b"value",
        f"{MASKED} is not readable",
    )
    assert record["headers"] == [{"name": "name", "value": MASKED.encode()}, {"name": "empty", "value": None}]
    assert record["redacted"] is True
    assert (record["source_partition"], record["source_offset"], record["source_time"]) == (2, 7, 5)
    assert letter().key == MASKED.encode()


def test_a_service_that_knows_the_value_masks_it_itself() -> None:
    content = mask_message(SOURCE, ERROR, lambda value: b"known " + value)
    assert (content.key, content.value) == (MASKED.encode(), b"known value")


def test_a_message_without_card_numbers_is_not_called_redacted() -> None:
    assert letter(ReceivedMessage("alerts.v1", 0, 1, None, None, (("a", b"b"),))).record["redacted"] is False


def test_a_dead_letter_can_be_shortened() -> None:
    short = shorten_dead_letter(letter(), 2).record
    assert (short["value"], short["headers"]) == (b"va", [])
    assert short["detail"] == (
        f"{MASKED} is not readable (the dead letter was too large: 2 of the value's 5 bytes are kept and no headers; "
        "the whole message is at its source offset)"
    )
    assert shorten_dead_letter(letter(), 0).record["value"] is None


def test_a_dead_letter_that_is_too_large_is_kept_without_its_value() -> None:
    producer = FakeProducer(failed(KafkaError.MSG_SIZE_TOO_LARGE), DeliveryResult(1))
    writer(producer).write([letter()])
    assert [message.key for batch in producer.delivered for message in batch] == [MASKED.encode()] * 2
    assert b"'value': None" in (producer.delivered[1][0].value or b"")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (failed(KafkaError._TRANSPORT), "does not answer"),
        (DeliveryResult(1, (), 1), "no acknowledgement within 30 s"),
    ],
)
def test_an_unacknowledged_dead_letter_is_an_error(answer: DeliveryResult, why: str) -> None:
    with pytest.raises(DeadLetterError, match=why):
        writer(FakeProducer(answer)).write([letter()])


def test_a_dead_letter_too_large_without_its_value_is_kept_without_content() -> None:
    too_large = failed(KafkaError.MSG_SIZE_TOO_LARGE)
    producer = FakeProducer(too_large, too_large, DeliveryResult(1))
    writer(producer).write([letter()])
    ((last,),) = producer.delivered[2:]
    assert last.key is None
    assert b"nothing of the message's content is kept" in (last.value or b"")
    assert MASKED.encode() not in (last.value or b"")


def test_a_dead_letter_too_large_without_content_is_an_error() -> None:
    too_large = failed(KafkaError.MSG_SIZE_TOO_LARGE)
    with pytest.raises(DeadLetterError, match="dlq"):
        writer(FakeProducer(too_large, too_large, too_large)).write([letter()])


def test_a_long_key_is_left_out_of_a_shortened_letter() -> None:
    assert shorten_dead_letter(letter(SOURCE._replace(key=b"k" * 600_000)), 5).record["key"] is None
    assert shorten_dead_letter(letter(SOURCE._replace(key=b"k" * 16_384)), 5).record["key"] == b"k" * 16_384


def test_a_detail_is_short_even_if_the_error_quotes_much() -> None:
    content = mask_message(SOURCE, RefusedError(Reason.UNDECODABLE_AVRO, f"{'x' * 490} {CARD_NUMBER} {'y' * 10_000}"))
    assert len(content.detail) == 500
    assert content.detail.endswith("x *********")


HOSTILE = SOURCE._replace(key=b"\xff", headers=(("\udcff", b"1"), ("n", None)), broker_time=2**80)


def test_the_last_resort_is_valid_and_holds_nothing_of_the_message() -> None:
    last = build_last_resort_letter(HOSTILE, "because", reason=Reason.INTERNAL_ERROR, service="test", refused_at=9)
    assert Decoder("dead_letter", InMemoryRegistry({"dead_letter": 1}))(Encoder("dead_letter", 1)(last.record)) == {
        **letter(HOSTILE).record,
        "reason": "internal_error",
        "detail": "because; the whole message is at its source offset: a key of 1 bytes, a value of 5 bytes with "
        f"SHA-256 {sha256(b'value').hexdigest()}, 2 headers of 3 bytes",
        "source_time": None,
        "key": None,
        "value": None,
        "redacted": True,
        "headers": [],
    }


def test_a_letter_that_cannot_be_encoded_is_replaced_by_its_last_resort() -> None:
    defects: list[tuple[ReceivedMessage, str, str]] = []
    kept, value = encode_dead_letter(letter(HOSTILE), Encoder("dead_letter", 1), lambda *about: defects.append(about))
    assert kept.record["value"] is None
    assert value == Encoder("dead_letter", 1)(kept.record)
    ((source, _, where),) = defects
    assert source == HOSTILE
    assert "encode_dead_letter" in where


def test_a_letter_that_cannot_be_built_is_replaced_by_its_last_resort() -> None:
    defects: list[tuple[ReceivedMessage, str, str]] = []

    def build() -> DeadLetter:
        return build()

    last = build_or_last_resort(
        build, HOSTILE, ERROR, service="test", refused_at=9, report_internal_error=lambda *about: defects.append(about)
    )
    assert last.reason == Reason.INTERNAL_ERROR
    assert "refused with undecodable_avro; building its dead letter failed with RecursionError" in last.record["detail"]
    ((_, error_type, where),) = defects
    assert error_type == "RecursionError"
    assert 5 < len(where.splitlines()) < 100


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(-1, None), (-(2**63), None), (0, 0), (1_795_478_400_001, 1_795_478_400_001_000), (2**63 - 1, None)],
)
def test_a_time_that_its_producer_made_up_counts_as_none(milliseconds: int, expected: int | None) -> None:
    assert broker_time_from(milliseconds) == expected


class UnreadableMessage:
    """A message of the client with a header whose name is not UTF-8."""

    def headers(self) -> Any:
        raise SystemError("returned a result with an exception set")

    def timestamp(self) -> tuple[int, int]:
        return 1, 2**62

    def __getattr__(self, name: str) -> Any:
        return lambda: {"topic": "t", "partition": 1, "offset": 2}.get(name)


def test_headers_that_the_client_cannot_read_count_as_none() -> None:
    message: Any = UnreadableMessage()
    assert received_message(message) == ReceivedMessage("t", 1, 2, None, None, (), None)
