"""Masking in bronze: the cases of cardwatch_card_numbers.testing, and the selection of messages by Spark."""

import json
import re

import pyarrow as pa
import pytest
from cardwatch_card_numbers.testing import (
    ALL_CASES,
    JSON_CASES,
    TEXT_CASES,
    UNDECODABLE_CASES,
    MaskingCase,
    Structure,
)
from cardwatch_contracts.wire import Encoder
from cardwatch_detector.lakehouse.io import card_numbers
from cardwatch_detector.lakehouse.io.card_numbers import (
    HEADERS_TYPE,
    SUSPECT,
    SUSPECT_JSON,
    mask_card_numbers,
    mask_row,
    mask_rows,
)
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from support.hostile_messages import HostileMessage, hostile_avro_messages, hostile_json_messages

CARD = "4111111111111111"  # published test number
HIDDEN = "*" * 16


def message(value: bytes | None, *, is_json: bool = True, key: bytes | None = None) -> dict[str, object]:
    return {"key": key, "value": value, "headers": None, "is_json": is_json}


@pytest.mark.parametrize("case", TEXT_CASES, ids=repr)
def test_messages_that_are_not_json_pass_the_shared_masking_cases(case: MaskingCase) -> None:
    masked = mask_row(
        {
            "key": case.original,
            "value": case.original,
            "headers": [{"key": case.original.decode(), "value": case.original}],
            "is_json": False,
        }
    )
    assert masked == {
        "key": case.masked,
        "value": case.masked,
        "headers": [{"key": case.masked.decode(), "value": case.masked}],
        "redacted": case.changes,
    }


@pytest.mark.parametrize("case", JSON_CASES, ids=repr)
def test_json_messages_pass_the_shared_masking_cases(case: MaskingCase) -> None:
    masked = mask_row(message(case.original))
    assert (masked["value"], masked["redacted"]) == (case.masked, case.changes)


@pytest.mark.parametrize("case", UNDECODABLE_CASES, ids=repr)
def test_undecodable_messages_pass_the_shared_masking_cases(case: MaskingCase) -> None:
    # They are treated as JSON, which they may be.
    masked = mask_row(message(case.original))
    assert (masked["value"], masked["redacted"]) == (case.masked, case.changes)


@pytest.mark.parametrize(
    "identifier", ["tx-20261124-100000-123456", f"{49:032d}", "41111111111111110000", "4111.1111.1111.1111"]
)
def test_a_record_of_an_unknown_schema_keeps_its_ids(identifier: str) -> None:
    value = b"\x00\x00\x00\x00\x63" + identifier.encode() + b"\x02"
    assert mask_row({**message(value), "is_record": True})["value"] == value


@pytest.mark.parametrize("number", [CARD, "4111 1111-1111 1111", f"x{CARD}y", f"\\{CARD}"])
def test_a_record_of_an_unknown_schema_keeps_no_card_number(number: str) -> None:
    value = b"\x00\x00\x00\x00\x63" + number.encode() + b"\x02"
    masked = mask_row({**message(value), "is_record": True})
    assert (masked["value"], masked["redacted"]) == (re.sub(rb"(?<=.{5})[0-9]", b"*", value, flags=re.DOTALL), True)


@pytest.mark.parametrize("case", [case for case in ALL_CASES if case.changes], ids=repr)
def test_spark_selects_every_message_that_may_need_masking(case: MaskingCase) -> None:
    suspect = SUSPECT if case.structure is Structure.TEXT else SUSPECT_JSON
    assert re.search(suspect, case.original.decode("latin-1"))


@pytest.mark.parametrize("text", ['{"amount_minor": 1200, "note": "2026-11-24T10:00:00.5"}', "10.20.30.40", ""])
def test_spark_skips_messages_that_need_no_masking(text: str) -> None:
    assert not re.search(SUSPECT_JSON, text)
    assert not re.search(SUSPECT, text)


@pytest.mark.parametrize("written", [f"a{CARD}", f"\\n{CARD}", "".join(f"\\u003{digit}" for digit in CARD)])
def test_keys_and_headers_of_json_messages_are_masked_with_any_characters_beside_a_number(written: str) -> None:
    masked = mask_row({**message(b"{}", key=written.encode()), "headers": [{"key": "h", "value": written.encode()}]})
    assert CARD.encode() not in masked["key"]
    assert masked["key"].endswith(HIDDEN.encode())
    assert masked["headers"] == [{"key": "h", "value": masked["key"]}]


def test_bytes_that_are_not_utf_8_survive() -> None:
    value = b"\x00\xff\xfe " + CARD.encode() + b"\xe9"
    assert mask_row(message(value, is_json=False))["value"] == b"\x00\xff\xfe " + HIDDEN.encode() + b"\xe9"


def test_key_and_headers_are_masked_and_marked_as_redacted() -> None:
    redacted = mask_row(
        {"key": CARD.encode(), "value": None, "headers": [{"key": "pan", "value": CARD.encode()}], "is_json": True}
    )
    assert redacted == {
        "key": HIDDEN.encode(),
        "value": None,
        "headers": [{"key": "pan", "value": HIDDEN.encode()}],
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


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_any_message_is_redacted(hostile: HostileMessage) -> None:
    headers = [{"key": name, "value": value} for name, value in hostile.headers]
    for is_json in (True, False):
        about = {"key": hostile.key, "value": hostile.value, "headers": headers, "is_json": is_json}
        mask_row(about)


def test_a_message_that_cannot_be_redacted_is_kept_without_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> dict[str, object]:
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
        (number, case.original, case.original, [(case.original.decode("latin-1"), case.original)], *form)
        for number, case in enumerate(ALL_CASES)
        for form in ((False, False), (True, False), (True, True))
    ]
    schema = f"number INT, key BINARY, value BINARY, headers {HEADERS_TYPE}, is_json BOOLEAN, is_record BOOLEAN"
    messages = spark.createDataFrame(rows, schema)
    masked, total = mask_card_numbers(messages, F.col("is_json"), F.col("is_record"))
    assert total == len(rows)
    found = {(row["number"], row["is_json"], row["is_record"]): row for row in masked.collect()}
    for number, key, value, headers, is_json, is_record in rows:
        row = found[number, is_json, is_record]
        expected = mask_row(
            {
                "key": key,
                "value": value,
                "headers": [{"key": name, "value": content} for name, content in headers],
                "is_json": is_json,
                "is_record": is_record,
            }
        )
        assert (bytes(row["key"]), bytes(row["value"]), row["redacted"]) == (
            expected["key"],
            expected["value"],
            expected["redacted"],
        )
        assert [(header["key"], bytes(header["value"])) for header in row["headers"]] == [
            (header["key"], header["value"]) for header in expected["headers"]
        ]
