"""Any message of the alerts topic becomes an alert or one dead letter that the broker accepts."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.topics import ALERTS
from cardwatch_contracts.wire import Decoder, Encoder, Record
from cardwatch_kafka.dead_letters import DeadLetter, DeadLetterWriter
from cardwatch_kafka.messages import OutgoingMessage, ReceivedMessage
from cardwatch_kafka.producer import DeliveryResult, FailedDelivery
from cardwatch_notifier.alerts import Alert
from cardwatch_notifier.intake import decoding
from cardwatch_notifier.intake.decoding import AlertDecoder
from confluent_kafka import KafkaError
from hypothesis import HealthCheck, given, seed
from hypothesis import strategies as st
from support.fuzzing.kinds import fuzzed_messages, kinds
from support.hostile_messages import HostileMessage, hostile_alert_messages, lane
from support.random_examples import random_examples, some_of
from support.records import CARD_NUMBER, alert_record
from support.registry import InMemoryRegistry

ALERT_ID, DEAD_LETTER_ID = 1, 2
ENCODE, ENCODE_LETTER = Encoder("alert", ALERT_ID), Encoder("dead_letter", DEAD_LETTER_ID)
DECODE_LETTER = Decoder("dead_letter", InMemoryRegistry({"dead_letter": DEAD_LETTER_ID}))
MAX_MESSAGE_BYTES = 1_000_000
FUZZ_SEED = 20
FUZZED_MESSAGES = some_of(2_000)
MESSAGES = hostile_alert_messages(ENCODE)


class SmallBroker:
    """A producer whose broker takes a megabyte."""

    servers = "broker:9092"

    def __init__(self) -> None:
        self.taken: list[OutgoingMessage] = []

    def deliver(self, messages: Sequence[OutgoingMessage], timeout_seconds: float) -> DeliveryResult:
        failed = []
        for index, message in enumerate(messages):
            if len(message.key or b"") + len(message.value or b"") > MAX_MESSAGE_BYTES:
                failed.append(FailedDelivery(index, message.topic, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)))
            else:
                self.taken.append(message)
        return DeliveryResult(len(messages), failed)


@pytest.fixture(scope="module")
def decoder() -> AlertDecoder:
    return AlertDecoder(Decoder("alert", InMemoryRegistry({"alert": ALERT_ID})), lambda: 9)


def written(letter: DeadLetter) -> Record:
    """The record of a dead letter as the broker has it."""
    broker: Any = SmallBroker()
    DeadLetterWriter(broker, "dlq", ENCODE_LETTER, 30.0).write([letter])
    (message,) = broker.taken
    assert CARD_NUMBER.encode() not in (message.key or b"") + message.value
    return DECODE_LETTER(message.value)


def received(message: HostileMessage, broker_time: int | None = 5) -> ReceivedMessage:
    return ReceivedMessage("alerts.v1", 0, 7, message.key, message.value, message.headers, broker_time)


@pytest.mark.parametrize("message", [pytest.param(one, id=one.name, marks=lane(one)) for one in MESSAGES])
def test_a_hostile_message_has_one_outcome(decoder: AlertDecoder, message: HostileMessage) -> None:
    outcome = decoder.decode(received(message))
    if message.expected is None:
        assert isinstance(outcome, Alert)
        return
    assert isinstance(outcome, DeadLetter)
    letter = written(outcome)
    assert letter["reason"] == message.expected, letter["detail"]
    assert letter["source_offset"] == 7


def test_a_defect_in_building_the_dead_letter_costs_the_content_only(
    decoder: AlertDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> DeadLetter:
        raise RecursionError(CARD_NUMBER)

    monkeypatch.setattr(decoding, "refuse", fail)
    outcome = decoder.decode(received(HostileMessage("", CARD_NUMBER.encode(), None)))
    assert isinstance(outcome, DeadLetter)
    letter = written(outcome)
    assert (letter["reason"], letter["value"], letter["redacted"]) == (Reason.INTERNAL_ERROR, None, True)
    assert "not_confluent_framed" in letter["detail"]


def test_a_letter_that_cannot_be_encoded_costs_the_content_only(decoder: AlertDecoder) -> None:
    outcome = decoder.decode(received(HostileMessage("", b"x", None), broker_time=2**70))
    assert isinstance(outcome, DeadLetter)
    letter = written(outcome)
    assert (letter["reason"], letter["source_time"], letter["value"]) == (Reason.NOT_CONFLUENT_FRAMED, None, None)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Bytes of a valid alert with some replaced, inserted, removed or repeated."""
    value = bytearray(ENCODE(alert_record()))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(5, len(value)))
        value[start : start + draw(st.integers(0, 12))] = draw(st.binary(max_size=12)) * draw(
            st.sampled_from([1, 1, 40])
        )
    return bytes(value)


@seed(20)
@random_examples(300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    value=mutated(),
    key=st.none() | st.binary(max_size=20),
    headers=st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=20)), max_size=2).map(tuple),
)
def test_any_message_has_one_outcome(decoder: AlertDecoder, value: bytes, key: bytes | None, headers: Any) -> None:
    outcome = decoder.decode(ReceivedMessage("alerts.v1", 0, 7, key, value, headers))
    if isinstance(outcome, DeadLetter):
        assert written(outcome)["reason"] != Reason.INTERNAL_ERROR
    else:
        assert outcome.body.encode()


@pytest.mark.thorough
def test_a_fuzzed_message_has_one_outcome(decoder: AlertDecoder) -> None:
    (kind,) = [kind for kind in kinds(lambda topic, record: ENCODE(record)).values() if kind.topic == ALERTS]
    found: Counter[str] = Counter()
    for offset, one in enumerate(fuzzed_messages(kind, FUZZ_SEED, FUZZED_MESSAGES)):
        outcome = decoder.decode(ReceivedMessage("alerts.v1", 0, offset, one.key, one.value, one.headers, 5))
        if isinstance(outcome, DeadLetter):
            assert outcome.reason != Reason.INTERNAL_ERROR, one
            written(outcome)
            found[outcome.reason] += 1
        else:
            json.loads(outcome.body)
            found["alert"] += 1
    assert found["alert"] > FUZZED_MESSAGES // 4
    assert len(found) > 5
