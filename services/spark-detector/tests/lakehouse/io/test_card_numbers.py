"""Masking in bronze: the cases of cardwatch_card_numbers.testing, and the selection of messages by Spark."""

import json
import re
import time
from random import Random

import pyarrow as pa
import pytest
from cardwatch_card_numbers.testing import (
    ALL_CASES,
    FIELD_CASES,
    ISSUED_NUMBERS,
    KEPT_WHERE_EXEMPT,
    NUMERIC_IDENTIFIERS,
    REFUSED_IDENTIFIERS,
    REFUSED_WHERE_EXEMPT,
    MaskingCase,
    Structure,
)
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_detector.lakehouse.io import card_numbers
from cardwatch_detector.lakehouse.io.card_numbers import (
    HEADERS_TYPE,
    SUSPECT,
    SUSPECT_NAME,
    mask_card_numbers,
    mask_row,
    mask_rows,
)
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from support.hostile_messages import HostileMessage, hostile_avro_messages, hostile_json_messages, lane
from support.random_examples import random_examples
from support.records import transaction_record
from support.registry import InMemoryRegistry
from support.rows import every_row

CARD = "4111111111111111"  # published test number
HIDDEN = "*" * 16
ENCODE = Encoder("transaction", 7)
DECODE = Decoder("transaction", InMemoryRegistry({"transaction": 7}))
YEAR_US = 365 * 24 * 3_600_000_000


def message(value: bytes | None, *, key: bytes | None = None) -> dict[str, object]:
    return {"key": key, "value": value, "headers": None}


@every_row("case", ALL_CASES)
def test_messages_pass_the_shared_masking_cases(case: MaskingCase) -> None:
    is_text = case.structure is Structure.TEXT
    names = [text.decode() if is_text else "h" for text in (case.original, case.masked)]
    headers = [{"key": names[0], "value": None}, {"key": "h", "value": case.original}]
    assert mask_row({"key": case.original, "value": case.original, "headers": headers}) == {
        "key": case.masked,
        "value": case.masked,
        "headers": [{"key": names[1], "value": None}, {"key": "h", "value": case.masked}],
        "redacted": case.changes,
    }


@every_row("case", FIELD_CASES)
def test_fields_of_avro_transactions_pass_the_shared_masking_cases(case: MaskingCase) -> None:
    value = ENCODE(transaction_record(device_id=case.original.decode()))
    masked = mask_row(message(value))
    assert (masked["value"], masked["redacted"]) == (value.replace(case.original, case.masked), case.changes)


@pytest.mark.parametrize("field", ["transaction_id", "merchant_id", "device_id"])
def test_bronze_keeps_the_identifiers_that_are_accepted(field: str) -> None:
    for identifier in NUMERIC_IDENTIFIERS + REFUSED_IDENTIFIERS:
        record = transaction_record(**{field: identifier})
        for value in (ENCODE(record), json.dumps(record).encode()):
            assert mask_row(message(value))["redacted"] is (identifier in REFUSED_IDENTIFIERS), identifier


@pytest.mark.parametrize("field", ["transaction_id", "merchant_id", "device_id"])
def test_bronze_keeps_the_numbers_in_exempt_fields(field: str) -> None:
    for identifier in KEPT_WHERE_EXEMPT + REFUSED_WHERE_EXEMPT:
        record = transaction_record(**{field: identifier})
        for value in (ENCODE(record), json.dumps(record).encode()):
            masked = mask_row(message(value), frozenset({field}))
            assert masked["redacted"] is (identifier in REFUSED_WHERE_EXEMPT), identifier
            assert (masked["value"] == value) is not masked["redacted"]


def test_bronze_keeps_no_card_number_of_a_message_in_an_exempt_field() -> None:
    document = {"card_number": CARD, "merchant_id": CARD, "device_id": "4012888888881881"}
    masked = mask_row(message(json.dumps(document).encode()), frozenset(document))
    assert json.loads(masked["value"]) == {**document, "card_number": HIDDEN, "merchant_id": HIDDEN}


def test_a_number_in_an_avro_transaction_is_masked() -> None:
    value = ENCODE(transaction_record(amount_minor=int(CARD), device_id=CARD))
    masked = mask_row(message(value))["value"]
    assert masked == ENCODE(transaction_record(amount_minor=0, device_id=HIDDEN)).replace(
        b"\x08" + b"1111" + b"\x00", b"\x08" + b"1111" + b"\x80" * 7 + b"\x00"
    )


@pytest.mark.parametrize("identifier", ["tx-20261124-100000-123456", f"{49:032d}", "m-4111"])
def test_a_record_of_an_unknown_schema_keeps_its_ids(identifier: str) -> None:
    value = b"\x00\x00\x00\x00\x63" + identifier.encode() + b"\x02"
    assert mask_row(message(value))["value"] == value


@pytest.mark.parametrize("number", [CARD, "4111 1111-1111 1111", f"x{CARD}y", f"\\{CARD}"])
def test_a_record_of_an_unknown_schema_keeps_no_card_number(number: str) -> None:
    value = b"\x00\x00\x00\x00\x63" + number.encode() + b"\x02"
    masked = mask_row(message(value))
    assert (masked["value"], masked["redacted"]) == (re.sub(rb"(?<=.{5})[0-9]", b"*", value, flags=re.DOTALL), True)


@every_row("case", [case for case in ALL_CASES if case.changes])
def test_spark_selects_every_message_that_needs_masking(case: MaskingCase) -> None:
    assert re.search(SUSPECT, case.original.decode("latin-1"))


@random_examples(600)
@given(
    st.sampled_from([CARD, "378282246310005", "4222222222222"]),
    st.sampled_from("0\u0660\uff10\U0001d7ce"),
    st.lists(
        st.text(st.sampled_from(" -./\\,:\x00\n\xa0\u2009\u3164\U000e01f0"), max_size=8), min_size=15, max_size=15
    ),
    st.binary(max_size=3),
)
def test_spark_selects_a_card_number_however_it_is_written(
    number: str, zero: str, separators: list[str], around: bytes
) -> None:
    digits = [chr(ord(zero) + int(digit)) for digit in number]
    written = "".join(digit + by for digit, by in zip(digits, separators, strict=False))
    value = around + written.encode() + around
    assert not mask_row(message(value))["redacted"] or re.search(SUSPECT, value.decode("latin-1"))


# Each nearly is what Spark looks for, so that a search which tries all ways to read it takes seconds or hours.
NEARLY = (
    "\U0001f389" * 12 + "A", "\U0001d7ce" * 12 + "A", "\u00a0\u00e9" * 5 + "A", "1" * 12 + "A",
    ("1" + " " * 35) * 12 + " A", ("1" + "\u00a0" * 8) * 6 + "*", "\\t" * 30, '"', '"' + "a" * 39 + "\u00e9", "x[", "{",
    "I" + " " * 50, "IC" + "\\n" * 50, "eHh4" * 5 + "e\n", "EA" + "\r\n ", "{\x00", "&" + "a" * 13, '"cvx"' + " " * 9,
)  # fmt: skip


@pytest.mark.parametrize("piece", NEARLY, ids=lambda piece: ascii(piece[:3]))
def test_spark_selects_in_linear_time(piece: str) -> None:
    value = (piece * (100_000 // len(piece))).encode().decode("latin-1")
    began = time.process_time()
    re.search(SUSPECT, value)
    assert time.process_time() - began < 1, "0.05 s are usual"


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_minor": int(CARD)},
        {"amount_minor": 378282246310005, "currency": "JPY"},
        {"amount_minor": 4111111111111111110},
        {"event_time": int(CARD)},
        {"event_time": 30569309025904},
        {"latitude": float(CARD), "longitude": 13.405},
        {"latitude": 52.52, "longitude": -float(CARD)},
        {"latitude": None, "longitude": 30569309025904.0},
    ],
    ids=str,
)
def test_spark_selects_card_numbers_in_numbers_of_a_transaction(changes: dict[str, float]) -> None:
    value = ENCODE(transaction_record(**changes))
    assert mask_row(message(value))["redacted"]
    assert re.search(SUSPECT, value.decode("latin-1"))


@pytest.mark.parametrize("number", [*ISSUED_NUMBERS.values(), f"{CARD}123", f"0{CARD}"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("field", ["amount_minor", "event_time"])
def test_a_card_number_in_a_binary_integer_is_selected_and_masked(field: str, sign: int, number: str) -> None:
    value = ENCODE(transaction_record(card_last_four="111é", **{field: sign * int(number)}))
    assert re.search(SUSPECT, value.decode("latin-1"))
    masked = mask_row(message(value))
    assert masked["redacted"]
    assert len(masked["value"]) == len(value)
    assert DECODE(masked["value"])[field] == 0


def test_few_messages_with_coordinates_are_selected() -> None:
    draw = Random(1)
    places = [(draw.uniform(-60, 70), draw.uniform(-180, 180)) for _ in range(2000)]
    values = [ENCODE(transaction_record(latitude=north, longitude=east)) for north, east in places]
    assert sum(re.search(SUSPECT, value.decode("latin-1")) is not None for value in values) < 20


@pytest.mark.parametrize("name", ["cvv", "X-CVC2", "track2", "PIN", "card_number", "securityCode"])
def test_spark_selects_headers_by_their_name(name: str) -> None:
    assert re.search(SUSPECT_NAME, name)


@pytest.mark.parametrize(
    "value",
    [
        b'{"amount_minor": 1200, "note": "2026-11-24T10:00:00.5"}',
        b"10.20.30.40",
        b"",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ENCODE(transaction_record()),
        *(ENCODE(transaction_record(event_time=946_684_800_000_000 + year * YEAR_US)) for year in range(7, 33)),
        ENCODE(
            transaction_record(latitude=52.52, longitude=13.405, ip_address="192.168.100.123", device_id="device-12")
        ),
    ],
)
def test_spark_skips_messages_that_need_no_masking(value: bytes) -> None:
    assert not re.search(SUSPECT, value.decode("latin-1"))


def test_bytes_that_are_not_utf_8_survive() -> None:
    value = b"\x00\xff\xfe " + CARD.encode() + b"\xe9"
    assert mask_row(message(value))["value"] == b"\x00\xff\xfe " + HIDDEN.encode() + b"\xe9"


def test_key_and_headers_are_masked_and_marked_as_redacted() -> None:
    headers = [{"key": "pan", "value": CARD.encode()}, {"key": "cvv", "value": b"123"}]
    assert mask_row({"key": CARD.encode(), "value": None, "headers": headers}) == {
        "key": HIDDEN.encode(),
        "value": None,
        "headers": [{"key": "pan", "value": HIDDEN.encode()}, {"key": "cvv", "value": b"****"}],
        "redacted": True,
    }


def test_an_unchanged_message_is_not_called_redacted() -> None:
    value = json.dumps({"event_time": 1795478400000001}).encode()
    assert mask_row(message(value, key=b"k")) == {
        "key": b"k",
        "value": value,
        "headers": None,
        "redacted": False,
    }


HOSTILE = [*hostile_json_messages(), *hostile_avro_messages(Encoder("transaction", 7))]


@pytest.mark.parametrize("hostile", [pytest.param(one, id=one.name, marks=lane(one)) for one in HOSTILE])
def test_any_message_is_redacted(hostile: HostileMessage) -> None:
    headers = [{"key": name, "value": value} for name, value in hostile.headers]
    masked = mask_row({"key": hostile.key, "value": hostile.value, "headers": headers})
    assert mask_row({name: masked[name] for name in ("key", "value", "headers")}) == {**masked, "redacted": False}


def test_a_message_that_cannot_be_redacted_is_kept_without_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> dict[str, object]:
        raise RecursionError(CARD)

    monkeypatch.setattr(card_numbers, "mask_row", fail)
    headers = [{"key": f"h{CARD}", "value": None}]
    (found,) = mask_rows(pa.array([{**message(CARD.encode() + b"\xff"), "headers": headers}])).to_pylist()
    assert found == {
        "key": None,
        "value": HIDDEN.encode() + b"\xff",
        "headers": [{"key": f"h{HIDDEN}", "value": None}],
        "redacted": True,
    }


def test_an_arrow_array_keeps_its_nulls() -> None:
    messages = pa.array([None, message(CARD.encode()), message(None)])
    assert [row and (row["value"], row["redacted"]) for row in mask_rows(messages).to_pylist()] == [
        None,
        (HIDDEN.encode(), True),
        (None, False),
    ]


@pytest.mark.integration
def test_spark_masks_what_the_functions_mask(spark: SparkSession) -> None:
    rows = [
        (number, case.original, case.original, [(case.original.decode("latin-1"), case.original), ("cvv", b"1")])
        for number, case in enumerate(ALL_CASES)
    ]
    rows.append((len(rows), None, b"{}", []))
    rows.append((len(rows), None, json.dumps({"merchant_id": CARD, "device_id": CARD}).encode(), []))
    rows.append((len(rows), None, ENCODE(transaction_record(amount_minor=int(CARD))), []))
    rows += [(len(rows) + at, None, piece.encode() * 1000, []) for at, piece in enumerate(NEARLY)]
    exempt = frozenset({"merchant_id"})
    messages = spark.createDataFrame(rows, f"number INT, key BINARY, value BINARY, headers {HEADERS_TYPE}")
    masked, total = mask_card_numbers(messages, exempt)
    assert total == len(rows)
    found = {row["number"]: row for row in masked.collect()}
    for number, key, value, headers in rows:
        row = found[number]
        expected = mask_row(
            {"key": key, "value": value, "headers": [{"key": name, "value": content} for name, content in headers]},
            exempt,
        )
        assert (row["key"] and bytes(row["key"]), bytes(row["value"])) == (expected["key"], expected["value"])
        assert row["redacted"] is expected["redacted"]
        assert [(header["key"], bytes(header["value"])) for header in row["headers"]] == [
            (header["key"], header["value"]) for header in expected["headers"]
        ]
