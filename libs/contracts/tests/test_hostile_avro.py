"""Any bytes behind any accepted schema are decoded or refused, within a time and a memory proportional to them."""

import io
import json
import time
import tracemalloc
from typing import Any

import fastavro
import pytest
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import parse, schema_text
from cardwatch_contracts.wire import Decoder, Encoder
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support.random_examples import random_examples
from support.records import alert_record, transaction_record
from support.registry import InMemoryRegistry

NAMES = ("alert", "transaction")
IDS = {name: number for number, name in enumerate(NAMES, start=1)}
RECORDS = {"alert": alert_record(), "transaction": transaction_record()}
VALUES = {name: Encoder(name, IDS[name])(RECORDS[name]) for name in NAMES}
REGISTRY = InMemoryRegistry(IDS)
DECODERS = {name: Decoder(name, REGISTRY) for name in NAMES}

WIDER = 9
MEASURE = {"name": "a", "expression": "b", "window_us": 1, "value": None, "text": None}
MAX_SECONDS = 20.0
# What a byte can become in Python: an item of one byte is a dictionary with its values.
MAX_BYTES_PER_BYTE = 700


def wider_alert() -> str:
    """A later version of the alert with every kind of type, whose fields a reader of today skips."""
    schema = json.loads(schema_text("alert"))
    item = {
        "type": "record",
        "name": "Item",
        "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": ["null", "string"]}],
    }
    more: list[Any] = [
        {"type": "map", "values": "null"},
        {"type": "array", "items": {"type": "array", "items": item}},
        {"type": "enum", "name": "E", "symbols": ["A", "B"]},
        {"type": "fixed", "name": "F", "size": 4},
        ["null", "bytes", "double", "Item"],
        {"type": "bytes", "logicalType": "decimal", "precision": 10**6, "scale": 10**6},
    ]
    schema["fields"] = [
        *({"name": f"first_{number}", "type": kind} for number, kind in enumerate(more)),
        *schema["fields"],
        {"name": "last", "type": {"type": "map", "values": {"type": "array", "items": "boolean"}}},
    ]
    return json.dumps(schema)


def wider_value() -> bytes:
    out = io.BytesIO(b"\x00\x00\x00\x00" + bytes([WIDER]))
    out.seek(5)
    record = alert_record() | {
        "first_0": {"k": None}, "first_1": [[{"a": 1, "b": None}], []], "first_2": "B", "first_3": b"1234",
        "first_4": 1.5, "first_5": b"\x01", "last": {"x": [True]},
    }  # fmt: skip
    fastavro.schemaless_writer(out, parse(wider_alert()), record)
    return out.getvalue()


WIDE_REGISTRY = InMemoryRegistry(IDS)
WIDE_REGISTRY.texts[WIDER] = wider_alert()
DECODE_WIDE = Decoder("alert", WIDE_REGISTRY)
WIDE = wider_value()


def decoded(decode: Decoder, value: bytes) -> Any:
    """The record, or the reason for which there is none; an assertion fails where that takes too long."""
    began = time.process_time()
    try:
        return decode(value)
    except RefusedError as error:
        return error.reason
    finally:
        assert time.process_time() - began < MAX_SECONDS


def test_a_wider_version_is_read() -> None:
    assert decoded(DECODE_WIDE, WIDE) == alert_record()


COUNTS = [b"\xfe" + b"\xff" * 8 + b"\x01", b"\xff" * 9 + b"\x01", b"\xff" * 12, b"\x01", b"\xfe\xff\x7f"]
MUTATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(5, 400), st.binary(min_size=1, max_size=10)),
        st.tuples(st.just("insert"), st.integers(5, 400), st.binary(max_size=40)),
        st.tuples(st.just("cut"), st.integers(5, 400), st.binary(max_size=20)),
        # Lengths and counts at the ends of 64 bits.
        st.tuples(
            st.just("set"),
            st.integers(5, 400),
            st.sampled_from(COUNTS),
        ),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


def mutated(value: bytes, mutations: list[tuple[str, int, bytes]]) -> bytes:
    for kind, at, some in mutations:
        at = min(at, len(value))
        behind = at if kind == "insert" else at + len(some)
        value = value[:at] + (b"" if kind == "cut" else some) + value[behind:]
    return value


@random_examples(1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([*NAMES, "wide"]), MUTATIONS)
def test_mutated_messages_are_decoded_or_refused(name: str, mutations: list[tuple[str, int, bytes]]) -> None:
    (decode, value) = (DECODE_WIDE, WIDE) if name == "wide" else (DECODERS[name], VALUES[name])
    outcome = decoded(decode, mutated(value, mutations))
    assert isinstance(outcome, dict) or outcome in (Reason.UNDECODABLE_AVRO, Reason.WRONG_SCHEMA)


def items(schema: Any) -> str:
    alert = json.loads(schema_text("alert"))
    alert["fields"].insert(0, {"name": "more", "type": schema})
    return json.dumps(alert)


NULLS = {"type": "record", "name": "N", "fields": [{"name": f"n{at}", "type": "null"} for at in range(16)]}
EXPENSIVE = {
    "items of a byte": items({"type": "array", "items": "boolean"}),
    "records of a byte": items(
        {"type": "array", "items": {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}}
    ),
    "records of a byte and nulls": items({"type": "array", "items": ["null", NULLS]}),
    "arrays of a byte": items({"type": "array", "items": {"type": "array", "items": "int"}}),
    "maps of nulls": items({"type": "map", "values": "null"}),
}


@pytest.mark.parametrize("text", EXPENSIVE.values(), ids=EXPENSIVE.keys())
@pytest.mark.parametrize("filling", [b"\x00", b"\x02", b"\xfe\xff\xff\xff\x0f"], ids=["0", "1", "2^31"])
def test_time_and_memory_are_bounded_by_the_size_of_a_message(text: str, filling: bytes) -> None:
    registry = InMemoryRegistry(IDS)
    registry.texts[WIDER] = text
    decode = Decoder("alert", registry)
    count = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
    value = b"\x00\x00\x00\x00" + bytes([WIDER]) + count + filling * (200_000 // len(filling))
    tracemalloc.start()
    try:
        assert decoded(decode, value) is Reason.UNDECODABLE_AVRO
        (_, most) = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MAX_BYTES_PER_BYTE * len(value)
