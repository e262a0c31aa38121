"""Confluent's wire format: decoding reverses encoding, and each kind of invalid message has its reason code."""

import io
import json

import fastavro
import pytest
from cardwatch_contracts.errors import RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import SCHEMA_NAMES, parsed_schema, schema_text
from cardwatch_contracts.wire import Decoder, Encoder
from support.registry import InMemoryRegistry

LABEL = {"transaction_id": "t1", "is_fraud": True, "scenario": "velocity_burst#1", "expected_refusal": None}


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry({"transaction_label": 7, "alert": 8})


def test_frame_and_round_trip(registry: InMemoryRegistry) -> None:
    value = Encoder("transaction_label", 7)(LABEL)
    assert value[:5] == b"\x00\x00\x00\x00\x07"
    decode = Decoder("transaction_label", registry)
    assert decode(value) == LABEL
    assert decode(value) == LABEL
    assert registry.subjects == ["transactions.labels.v1-value"], "a schema is looked up once"


def test_an_older_writer_is_read_with_the_defaults_of_the_newer_schema() -> None:
    older = json.loads(schema_text("transaction_label"))
    older["fields"] = [field for field in older["fields"] if field["name"] != "expected_refusal"]
    registry = InMemoryRegistry({})
    registry.texts[3] = json.dumps(older)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(older), LABEL)
    assert Decoder("transaction_label", registry)(b"\x00\x00\x00\x00\x03" + out.getvalue()) == LABEL


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.EMPTY_MESSAGE),
        (b"", Reason.EMPTY_MESSAGE),
        (b"\x00\x00\x00", Reason.NOT_CONFLUENT_FRAMED),
        (b'{"transaction_id": "t1"}', Reason.NOT_CONFLUENT_FRAMED),
        (b"\x00\x00\x00\x00\x09abc", Reason.UNKNOWN_SCHEMA_ID),
        (b"\x00\x00\x00\x00\x08abc", Reason.WRONG_SCHEMA),
        (b"\x00\x00\x00\x00\x07", Reason.UNDECODABLE_AVRO),
        (b"\x00\x00\x00\x00\x07\xff\xff\xff\xff\xff", Reason.UNDECODABLE_AVRO),
        (Encoder("transaction_label", 7)(LABEL) + b"x", Reason.UNDECODABLE_AVRO),
    ],
)
def test_each_bad_message_has_its_reason(registry: InMemoryRegistry, value: bytes | None, reason: Reason) -> None:
    with pytest.raises(RefusedError) as caught:
        Decoder("transaction_label", registry)(value)
    assert caught.value.reason is reason


def test_a_registry_that_is_down_refuses_nothing(registry: InMemoryRegistry) -> None:
    registry.failures.append(RegistryUnavailableError("down"))
    with pytest.raises(RegistryUnavailableError):
        Decoder("transaction_label", registry)(b"\x00\x00\x00\x01\xf4abc")


def test_all_schemas_parse_and_carry_a_doc() -> None:
    for name in SCHEMA_NAMES:
        assert parsed_schema(name)["doc"]
        assert "logicalType" not in json.dumps(parsed_schema(name))


def test_silver_extends_the_transaction() -> None:
    raw = json.loads(schema_text("transaction"))["fields"]
    silver = json.loads(schema_text("enriched_transaction"))["fields"]
    assert silver[: len(raw)] == raw
