"""The record of a refused message, and the writer that gives up on nothing but its size."""

from typing import Any

import pytest
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_kafka.dead_letters import (
    DeadLetter,
    DeadLetterError,
    DeadLetterWriter,
    build_dead_letter,
    mask_message,
    shorten_dead_letter,
)
from cardwatch_kafka.messages import OutgoingMessage, ReceivedMessage
from cardwatch_kafka.producer import DeliveryResult, FailedDelivery
from confluent_kafka import KafkaError

CARD_NUMBER, MASKED = "4111111111111111", "*" * 16
SOURCE = ReceivedMessage(
    "alerts.v1", 2, 7, CARD_NUMBER.encode(), b"value", (("name", CARD_NUMBER.encode()), ("empty", None)), 5
)
ERROR = RefusedError(Reason.UNDECODABLE_AVRO, f"{CARD_NUMBER} is not readable")


def letter(source: ReceivedMessage = SOURCE) -> DeadLetter:
    return build_dead_letter(source, ERROR.reason, mask_message(source, ERROR), service="test", refused_at=9)


class FakeProducer:
    """Answers the deliveries in turn with the errors of ``answers``."""

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


def test_everything_of_a_dead_letter_is_masked_and_says_so() -> None:
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


def test_one_that_is_too_large_is_kept_without_its_value() -> None:
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
def test_a_letter_that_may_not_be_safe_is_an_error(answer: DeliveryResult, why: str) -> None:
    with pytest.raises(DeadLetterError, match=why):
        writer(FakeProducer(answer)).write([letter()])


def test_one_that_is_too_large_without_its_value_too_is_an_error() -> None:
    too_large = failed(KafkaError.MSG_SIZE_TOO_LARGE)
    with pytest.raises(DeadLetterError, match="dlq"):
        writer(FakeProducer(too_large, too_large)).write([letter()])
