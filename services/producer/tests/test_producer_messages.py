"""The messages that are sent: keys, topics, JSON of legacy producers, and messages that are invalid on purpose."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_LABELS, TRANSACTIONS_RAW
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_producer.defects import DEFECTS, Defect, defects_of
from cardwatch_producer.messages import SPOILT_HEADER, MessageEncoder
from cardwatch_producer.simulation import Message, SimulationConfig, make_population, simulate
from support.registry import InMemoryRegistry

KEY = b"a key of the test suite"
ENCODE = MessageEncoder(Encoder("transaction", 11), Encoder("transaction_label", 12))

# The defects that decoding alone detects; the enricher finds the others by checking the values.
FOUND_BY_DECODING = {
    Reason.EMPTY_MESSAGE,
    Reason.NOT_CONFLUENT_FRAMED,
    Reason.UNKNOWN_SCHEMA_ID,
    Reason.WRONG_SCHEMA,
    Reason.UNDECODABLE_AVRO,
}


REGISTRY = InMemoryRegistry({"transaction": 11, "transaction_label": 12})
DECODE = Decoder("transaction", REGISTRY)


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    config = SimulationConfig(rate=50, seed=3, start_us=1_790_000_000_123_456, duration_seconds=20, fraud_fraction=0.0)
    return list(simulate(config, make_population(config, KEY, cards=5_000, merchants=5_000)))


def test_an_avro_message_is_keyed_by_its_card_and_decodes_to_its_record(messages: list[Message]) -> None:
    for message in messages[:50]:
        (out,) = ENCODE(message)
        assert out.topic == TRANSACTIONS_RAW.name()
        assert out.key == message.record["card_token"].encode()
        assert DECODE(out.value) == message.record
        assert out.headers == ()


def test_the_label_comes_first_and_is_keyed_by_the_transaction(messages: list[Message]) -> None:
    label = {"transaction_id": "t-1", "is_fraud": True, "scenario": "velocity_burst#1", "expected_refusal": None}
    first, second = ENCODE(replace(messages[0], label=label))
    assert (first.topic, first.key) == (TRANSACTIONS_LABELS.name(), b"t-1")
    assert Decoder("transaction_label", REGISTRY)(first.value) == label
    assert second.topic == TRANSACTIONS_RAW.name()


def test_a_json_message_has_the_card_number_instead_of_the_token_and_local_time(messages: list[Message]) -> None:
    for message in messages[:50]:
        (out,) = ENCODE(replace(message, format="json"))
        assert out.topic == TRANSACTIONS_JSON.name()
        assert out.key == message.record["transaction_id"].encode()
        document = json.loads(out.value or b"")
        moment = datetime.fromisoformat(document.pop("event_time"))
        assert moment.utcoffset() is not None
        assert round(moment.timestamp() * 1_000_000) == message.record["event_time"]
        assert document.pop("card_number") == message.card_number
        expected = {k: v for k, v in message.record.items() if v is not None and not k.startswith("card_")}
        expected.pop("event_time")
        assert document == expected


def spoilt(message: Message, defect: Defect, message_format: Any = "avro") -> OutgoingMessage:
    return ENCODE(replace(message, format=message_format, defect=defect))[-1]


@pytest.mark.parametrize("defect", defects_of("avro"), ids=lambda d: d.name)
def test_every_avro_defect_is_refused_for_its_reason_or_changes_one_field(
    defect: Defect, messages: list[Message]
) -> None:
    for message in messages:
        out = spoilt(message, defect)
        assert out.headers == [(SPOILT_HEADER, message.record["transaction_id"].encode())]
        if defect.reason in FOUND_BY_DECODING:
            with pytest.raises(RefusedError) as refused:
                DECODE(out.value)
            assert refused.value.reason is defect.reason
        else:
            record = DECODE(out.value)
            changed = [name for name in record if record[name] != message.record[name]]
            assert len(changed) == 1


def test_a_spoilt_message_leaves_the_transaction_itself_as_it_was(messages: list[Message]) -> None:
    before = dict(messages[0].record)
    for defect in DEFECTS:
        for message_format in defect.formats:
            spoilt(messages[0], defect, message_format)
    assert messages[0].record == before


def test_json_defects_leave_valid_json_except_for_two(messages: list[Message]) -> None:
    for defect in defects_of("json"):
        value = spoilt(messages[0], defect, "json").value
        if defect.reason is Reason.EMPTY_MESSAGE:
            assert value is None
        elif defect.reason is Reason.MALFORMED_JSON:
            with pytest.raises(json.JSONDecodeError):
                json.loads(value or b"")
        else:
            assert isinstance(json.loads(value or b""), dict)


def test_there_is_a_defect_for_every_reason_a_transaction_can_be_refused_for() -> None:
    of_labels = {Reason.UNKNOWN_LABEL}
    assert {defect.reason for defect in DEFECTS} == set(Reason) - {Reason.INTERNAL_ERROR} - of_labels
