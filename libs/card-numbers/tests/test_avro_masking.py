"""Masking of Avro: every field of the writer's schema, in place."""

import io
import time
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from cardwatch_card_numbers.avro_masking import AvroMasker, NotThisSchemaError
from cardwatch_card_numbers.testing import CARD_NUMBER, MASKED
from hypothesis import given
from hypothesis import strategies as st

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Any",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "optional", "type": ["null", "string", {"type": "record", "name": "Inner", "fields": [
            {"name": "cvv", "type": "string"}, {"name": "note", "type": {"type": "string"}}]}]},
        {"name": "number", "type": "long"},
        {"name": "ratio", "type": "double"},
        {"name": "small", "type": "float"},
        {"name": "raw", "type": "bytes"},
        {"name": "fixed", "type": {"type": "fixed", "name": "Sixteen", "size": 16}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "list", "type": {"type": "array", "items": ["null", "long", "string"]}},
        {"name": "map", "type": {"type": "map", "values": "string"}},
        {"name": "again", "type": ["null", "Inner"]},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "event_time", "type": "long"},
        {"name": "latitude", "type": "double"},
        {"name": "track2", "type": "string"},
        {"name": "pin", "type": "int"},
        {"name": "card_number", "type": "string"},
        {"name": "flag", "type": "boolean"},
    ],
}  # fmt: skip
HARMLESS: dict[str, Any] = {
    "text": "x", "optional": None, "number": 12, "ratio": 0.5, "small": 1.5, "raw": b"\xff", "fixed": b"x" * 16,
    "kind": "B", "list": [1, None, "a"], "map": {"a": "b"}, "again": {"cvv": "", "note": "n"}, "time": 1795478400000001,
    "event_time": 1795478400000001, "latitude": 4.111111111111111, "track2": "", "pin": 0, "card_number": "",
    "flag": True,
}  # fmt: skip
PARSED = fastavro.parse_schema(SCHEMA)
MASK = AvroMasker(PARSED)


def encode(**changes: Any) -> bytes:
    out = io.BytesIO(b"")
    fastavro.schemaless_writer(out, PARSED, HARMLESS | changes)
    return out.getvalue()


def masked(**changes: Any) -> Any:
    value = encode(**changes)
    found = MASK(value)
    assert len(found) == len(value)
    assert MASK(found) == found
    return fastavro.schemaless_reader(io.BytesIO(found), PARSED, None)


def test_a_harmless_record_is_the_same() -> None:
    assert MASK(encode()) == encode()
    assert AvroMasker(SCHEMA)(b"frame" + encode(), 5) == b"frame" + encode()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("text", f"id {CARD_NUMBER}", f"id {MASKED}"),
        ("text", CARD_NUMBER.translate(str.maketrans("1", "\uff11")), "*" * 46),
        ("text", f'{{"pan": {CARD_NUMBER}}}', f'{{"pan": {MASKED}}}'),
        ("optional", "4111.1111.1111.1111", "****.****.****.****"),
        ("optional", {"cvv": "123", "note": f"x{CARD_NUMBER}"}, {"cvv": "***", "note": f"x{MASKED}"}),
        ("number", int(CARD_NUMBER), 0),
        ("number", -int(CARD_NUMBER), 0),
        ("ratio", float(CARD_NUMBER), 0.0),
        ("raw", b"\xff" + CARD_NUMBER.encode(), b"\xff" + MASKED.encode()),
        ("fixed", CARD_NUMBER.encode(), MASKED.encode()),
        ("list", [1, int(CARD_NUMBER), CARD_NUMBER], [1, 0, MASKED]),
        ("map", {CARD_NUMBER: "1", "cvv": "123", "x": CARD_NUMBER}, {MASKED: "1", "cvv": "***", "x": MASKED}),
        ("again", {"cvv": "99", "note": ""}, {"cvv": "**", "note": ""}),
        ("event_time", int(CARD_NUMBER), 0),
        ("latitude", 4111111111111111.0, 0.0),
        ("track2", "anything", "********"),
        ("pin", 1234, 0),
        ("card_number", "4111111111111112", MASKED),
    ],
)
def test_a_field_is_masked_in_place(field: str, value: Any, expected: Any) -> None:
    assert masked(**{field: value}) == fastavro.schemaless_reader(io.BytesIO(encode()), PARSED, None) | {
        field: expected
    }


def _decimal(**type_of: Any) -> dict[str, Any]:
    return {**type_of, "logicalType": "decimal", "precision": 28, "scale": 2}


LISTS = fastavro.parse_schema({
    "type": "record",
    "name": "Lists",
    "fields": [
        {"name": "amount", "type": _decimal(type="bytes")},
        {"name": "fixed", "type": _decimal(type="fixed", name="Twelve", size=12)},
        {"name": "cvv", "type": ["null", _decimal(type="bytes")]},
        {"name": "numbers", "type": {"type": "array", "items": "long"}},
        {"name": "doubles", "type": {"type": "array", "items": "double"}},
        {"name": "texts", "type": {"type": "array", "items": ["null", "string", "int", "bytes"]}},
        {"name": "lists", "type": {"type": "array", "items": {"type": "array", "items": "string"}}},
        {"name": "map", "type": {"type": "map", "values": ["string", "int", {"type": "array", "items": "int"}]}},
        {"name": "decimals", "type": {"type": "array", "items": _decimal(type="bytes")}},
        {"name": "records", "type": {"type": "array", "items": {"type": "record", "name": "Part", "fields": [
            {"name": "a", "type": "string"}, {"name": "b", "type": {"type": "array", "items": "string"}}]}}},
        {"name": "times", "type": {"type": "array", "items": {"type": "long", "logicalType": "timestamp-micros"}}},
    ],
})  # fmt: skip
MASK_LISTS = AvroMasker(LISTS)
NOTHING: dict[str, Any] = {
    "amount": Decimal("12.50"), "fixed": Decimal("12.50"), "cvv": None, "numbers": [], "doubles": [], "texts": [],
    "lists": [], "map": {}, "decimals": [], "records": [], "times": [],
}  # fmt: skip
ZERO = Decimal("0.00")


def in_lists(**changes: Any) -> bytes:
    out = io.BytesIO(b"")
    fastavro.schemaless_writer(out, LISTS, NOTHING | changes)
    return out.getvalue()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("amount", Decimal(f"{CARD_NUMBER}.00"), ZERO),
        ("amount", Decimal(f"-{CARD_NUMBER}.00"), ZERO),
        ("amount", Decimal(f"{CARD_NUMBER[:-2]}.{CARD_NUMBER[-2:]}"), ZERO),
        ("amount", Decimal(f"{CARD_NUMBER}123.25"), ZERO),
        ("fixed", Decimal(f"{CARD_NUMBER}.00"), ZERO),
        ("cvv", Decimal("1.23"), ZERO),
        ("numbers", [4111, 1111, 1111, 1111], [0, 0, 0, 0]),
        ("numbers", [int(digit) for digit in CARD_NUMBER], [0] * 16),
        ("numbers", [7, int(CARD_NUMBER)], [7, 0]),
        ("doubles", [41111111.0, 11111111.0], [0.0, 0.0]),
        ("texts", ["4111", None, 1111, "x", b"1111", "1111"], ["****", None, 0, "x", b"****", "****"]),
        ("lists", [["4111", "1111"], ["1111"], ["1111"]], [["****", "****"], ["****"], ["****"]]),
        ("map", {"a": "4111", "b": 1111, "c": [1111, 1111]}, {"a": "****", "b": 0, "c": [0, 0]}),
        ("decimals", [Decimal("41111111.11"), Decimal("111111")], [ZERO, ZERO]),
        (
            "records",
            [{"a": "4111", "b": ["4111", "1111", "1111", "1111"]}, {"a": "1111", "b": []}],
            [{"a": "4111", "b": ["****", "****", "****", "****"]}, {"a": "1111", "b": []}],
        ),
    ],
)
def test_a_number_in_decimals_lists_and_maps_is_masked_in_place(field: str, value: Any, expected: Any) -> None:
    written = in_lists(**{field: value})
    found = MASK_LISTS(written)
    assert len(found) == len(written)
    assert MASK_LISTS(found) == found
    read = fastavro.schemaless_reader(io.BytesIO(found), LISTS, None)
    assert read[field] == expected
    assert {name: read[name] for name in NOTHING if name != field} == {
        name: value for name, value in NOTHING.items() if name != field
    }


def test_harmless_decimals_lists_and_maps_are_kept() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    value = in_lists(
        amount=Decimal("-123456789.99"), fixed=Decimal("0.01"), cvv=ZERO, numbers=[4111, 1111, 1111, 1112],
        doubles=[1.5, 4111.0], texts=["4111", "1111"], map={"a": "4111", "b": 1111}, decimals=[Decimal("4111.11")] * 3,
        times=[now, now],
        lists=[["4111"], ["1111"]], records=[{"a": "4111", "b": ["1111"]}, {"a": "1111", "b": ["1111"]}],
    )  # fmt: skip
    assert MASK_LISTS(value) == value


def test_a_decimal_of_any_length_takes_little_time() -> None:
    decimal = AvroMasker(_decimal(type="bytes"))
    value = b"\x80\x80\x80\x01" + b"\x7f" * 2**20  # the length, 2^20
    began = time.process_time()
    assert len(decimal(value)) == len(value)
    assert time.process_time() - began < 5


def test_times_and_coordinates_are_kept() -> None:
    number = 1620000000000000
    value = encode(time=number, event_time=number, latitude=4.111111111111111)
    assert MASK(value) == value
    assert MASK(encode(number=number)) != encode(number=number), "as a number of another field it is masked"


@given(st.binary(max_size=60))
def test_any_bytes_end(value: bytes) -> None:
    with suppress(NotThisSchemaError):
        assert len(MASK(value)) == len(value)


@given(st.data())
def test_a_truncated_or_longer_record_is_refused(data: st.DataObject) -> None:
    value = encode()
    cut = data.draw(st.integers(0, len(value) - 1))
    for wrong in (value[:cut], value + b"\x00"):
        with pytest.raises(NotThisSchemaError):
            MASK(wrong)


def test_a_block_has_the_size_that_it_says() -> None:
    items = AvroMasker({"type": "array", "items": "long"})
    assert items(b"\x01\x02\x06\x00") == b"\x01\x02\x06\x00"
    for wrong in (b"\x01\x04\x06\x00\x00", b"\x01\x00\x06\x00"):
        with pytest.raises(NotThisSchemaError, match="another size"):
            items(wrong)


def test_of_any_bytes_what_is_a_record_is_masked_as_that_and_the_rest_as_text() -> None:
    pair = AvroMasker({"type": "record", "name": "Pair", "fields": [
        {"name": "number", "type": "long"}, {"name": "text", "type": "string"}]})  # fmt: skip
    number = b"\x8e\xc7\xc7\xd6\x94\xc2\xcd\x0e"  # that of the card
    hidden = b"\x80" * 7 + b"\x00"
    assert pair.mask_any(number + b"\x02x") == hidden + b"\x02x"
    for rest in (b"", b"\x06x", b"\x02xyz"):
        assert pair.mask_any(number + rest) == hidden + rest
    assert pair.mask_any(number + b"\x02x" + CARD_NUMBER.encode()) == hidden + b"\x02x" + MASKED.encode()


@pytest.mark.parametrize(
    "count", [b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00"]
)
def test_a_huge_number_of_values_without_bytes_is_refused(count: bytes) -> None:
    nulls = AvroMasker(
        {"type": "record", "name": "Nulls", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}
    )
    with pytest.raises(NotThisSchemaError, match="too many values"):
        nulls(count + b"\x00")


def test_a_recursive_schema_ends() -> None:
    lists = AvroMasker({"type": "record", "name": "List", "fields": [{"name": "next", "type": ["null", "List"]}]})
    assert lists(b"\x02\x02\x00") == b"\x02\x02\x00"
    with pytest.raises(NotThisSchemaError, match="nested too deeply"):
        lists(b"\x02" * 10_000)
    endless = AvroMasker({"type": "record", "name": "Self", "fields": [{"name": "self", "type": "Self"}]})
    with pytest.raises(NotThisSchemaError, match="nested too deeply"):
        endless(b"")
