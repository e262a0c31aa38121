"""No card number leaves the enricher: not in silver, not in a dead letter (bytes, key, headers, text), nor in a log."""

import json
import re
import struct
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from cardwatch_card_numbers.scanner import holds_card_number
from cardwatch_card_numbers.testing import (
    BINARY_CASES,
    FIELD_CASES,
    JSON_CASES,
    KEPT_WHERE_EXEMPT,
    NUMERIC_IDENTIFIERS,
    REFUSED_IDENTIFIERS,
    REFUSED_WHERE_EXEMPT,
    TEXT_CASES,
    MaskingCase,
)
from cardwatch_card_numbers.tokens import tokenise
from cardwatch_contracts.reasons import Reason
from cardwatch_enricher.pipeline.outcomes import Enriched
from cardwatch_kafka.dead_letters import DeadLetter
from cardwatch_service.token_settings import TokenSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.rows import every_row

PAN = "4111111111111111"
FRAME = struct.Struct(">bI")
DIGITS = re.compile(rb"[^0-9]+")


def everything(outcome: Enriched | DeadLetter) -> bytes:
    """All bytes and text of an outcome in one piece, JSON escapes and all."""
    parts: list[bytes] = [outcome.key or b""]

    def collect(value: Any) -> None:
        if isinstance(value, bytes):
            parts.append(value)
        elif isinstance(value, dict):
            collect(list(value.values()))
        elif isinstance(value, list):
            for item in value:
                collect(item)
        else:
            parts.append(str(value).encode())

    collect(outcome.record)
    return b"\n".join(parts)


def assert_gone(outcome: Enriched | DeadLetter, card_number: str = PAN) -> None:
    text = everything(outcome)
    assert card_number.encode() not in text
    assert card_number.encode() not in DIGITS.sub(b"", text)
    with suppress(ValueError):  # not JSON: its bytes were looked at
        assert card_number not in str(json.loads(outcome.record.get("value") or b"null"))


@pytest.mark.parametrize(
    "value",
    [
        b'{"card_number": "4111111111111111"}',
        b'{"card_number": "4111 1111 1111 1111", "oops": 1}',
        b'{"card_number": 4111111111111111}',
        b'{"card_number": ["4111111111111111"]}',
        b'{"pan": "4111111111111111"}',
        b'{"pan": "PAN4111111111111111!"}',
        b'{"pan": 4111111111111111}',
        b'{"4111111111111111": 1}',
        b'{"a": {"b": [{"4111111111111111": "4111-1111-1111-1111"}]}}',
        b'{"pan": "\\u0034111111111111111"}',
        b'{"card_number": "4111111111111111", "card_number": "x"}',
        b'{"card_number": "\\u0034111111111111111", "card_number": "x"}',
        b'"4111111111111111"',
        b"4111111111111111",
        b'[{"card_number": "4111111111111111"}]',
        b'{"card_number": "4111111111111111"',
        b"card 4111.1111.1111.1111, please",
        '{"card_number": "4111111111111111"}'.encode("utf-16"),
        '{"card_number": "4111111111111111"}'.encode("utf-32"),
    ],
)
def test_json_that_is_refused(make: Any, pipeline: Any, value: bytes) -> None:
    outcome = pipeline(make.json(value=value))
    assert isinstance(outcome, DeadLetter)
    assert outcome.record["redacted"]
    assert_gone(outcome)


@pytest.mark.parametrize(
    "value",
    [
        FRAME.pack(0, 99) + b"\x20" + PAN.encode() + b"\x30",
        FRAME.pack(0, 7) + b"\x20" + PAN.encode(),
        b'{"card_number": "4111111111111111"}',
        b"12" + PAN.encode() + b"34",
        b"\x00\x00" + b"4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    ],
)
def test_avro_that_cannot_be_decoded(make: Any, pipeline: Any, value: bytes) -> None:
    outcome = pipeline(make.avro(value=value))
    assert isinstance(outcome, DeadLetter)
    assert outcome.record["redacted"]
    assert len(outcome.record["value"]) == len(value)
    assert_gone(outcome)


@pytest.mark.parametrize("field", ["transaction_id", "merchant_id", "device_id", "ip_address", "card_token", "country"])
@pytest.mark.parametrize("written", [PAN, "4111 1111 1111 1111", f"id {PAN}."])
def test_avro_with_a_card_number_in_a_field(make: Any, pipeline: Any, field: str, written: str) -> None:
    message = make.avro(make.transaction(**{field: written}))
    outcome = pipeline(message)
    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == Reason.CARD_NUMBER_PRESENT
    assert outcome.record["redacted"]
    assert field in outcome.record["detail"]
    assert_gone(outcome)
    # Same length, nothing else touched: the frame still decodes.
    kept = outcome.record["value"]
    assert [a for a, b in zip(kept, message.value, strict=True) if a != b] == [ord("*")] * 16


def test_keys_and_headers_of_a_dead_letter_are_masked(make: Any, pipeline: Any) -> None:
    message = make.avro(value=b"garbage", key=PAN.encode(), headers=(("card", PAN.encode()), ("none", None)))
    outcome = pipeline(message)
    assert outcome.key == outcome.record["key"] == b"*" * 16
    assert outcome.record["headers"] == [{"name": "card", "value": b"*" * 16}, {"name": "none", "value": None}]
    assert outcome.record["redacted"]


def test_messages_without_a_card_number_are_kept_unchanged(make: Any, pipeline: Any) -> None:
    headers = (("trace", b"\x00\xff"), ("empty", None))
    message = make.avro(make.transaction(currency="XXX"), headers=headers)
    letter = pipeline(message).record
    assert (letter["value"], letter["key"], letter["redacted"]) == (message.value, b"k", False)
    assert letter["headers"] == [{"name": name, "value": value} for name, value in headers]
    assert (letter["source_topic"], letter["source_partition"], letter["source_offset"]) == (
        "transactions.raw.v1",
        1,
        42,
    )
    assert letter["source_time"] == make.received_at


def test_a_json_dead_letter_with_tokens_is_kept_unchanged(make: Any, pipeline: Any) -> None:
    message = make.json(make.transaction(currency="XXX", event_time=1_795_564_799_000_008))
    letter = pipeline(message).record
    assert (letter["value"], letter["redacted"]) == (message.value, False)


def test_a_json_dead_letter_can_be_redriven_after_its_error_is_corrected(make: Any, pipeline: Any) -> None:
    letter = pipeline(make.json(make.document(currency="XXX"))).record
    assert letter["redacted"]
    mended = letter["value"].replace(b'"XXX"', b'"EUR"')
    outcome = pipeline(make.json(value=mended))
    assert isinstance(outcome, Enriched)
    assert outcome.record["card_token"] == tokenise(PAN, TokenSettings().key_bytes()).card_token


@every_row("case", TEXT_CASES)
def test_texts_of_a_dead_letter_pass_the_shared_masking_cases(make: Any, pipeline: Any, case: MaskingCase) -> None:
    headers = (("note", case.original), (case.original.decode(), None))
    letter = pipeline(make.avro(value=b"garbage", key=case.original, headers=headers)).record
    assert (letter["key"], letter["redacted"]) == (case.masked, case.changes)
    assert [header["name"] for header in letter["headers"]] == ["note", case.masked.decode()]
    assert letter["headers"][0]["value"] == case.masked


@every_row("case, field", product(FIELD_CASES, ["device_id", "transaction_id"]))
def test_a_field_is_accepted_if_masking_would_not_change_it(
    make: Any, pipeline: Any, case: MaskingCase, field: str
) -> None:
    text = case.original.decode()
    fits = len(text) <= 256 if field == "device_id" else (0 < len(text) <= 64 and text.isprintable())
    for message in (make.avro(make.transaction(**{field: text})), make.json(make.transaction(**{field: text}))):
        outcome = pipeline(message)
        if not case.changes and fits:
            assert outcome.record[field] == text
            continue
        assert isinstance(outcome, DeadLetter)
        if case.changes:
            assert outcome.reason == Reason.CARD_NUMBER_PRESENT
            assert outcome.record["redacted"]
            assert case.original not in everything(outcome)


@pytest.mark.parametrize("field", ["transaction_id", "merchant_id", "device_id"])
def test_numeric_identifiers_are_accepted_and_kept_in_dead_letters(make: Any, pipeline: Any, field: str) -> None:
    for identifier in NUMERIC_IDENTIFIERS:
        for kind in (make.avro, make.json):
            assert pipeline(kind(make.transaction(**{field: identifier}))).record[field] == identifier
            letter = pipeline(kind(make.transaction(currency="XXX", **{field: identifier}))).record
            assert identifier.encode() in letter["value"]
            assert not letter["redacted"]
        elsewhere = pipeline(make.json(make.transaction(note=identifier))).record
        assert elsewhere["redacted"] is holds_card_number(identifier)


@pytest.mark.parametrize("field", ["transaction_id", "merchant_id", "device_id"])
def test_card_numbers_as_identifiers_are_refused_and_masked(make: Any, pipeline: Any, field: str) -> None:
    for identifier in REFUSED_IDENTIFIERS:
        for kind in (make.avro, make.json):
            outcome = pipeline(kind(make.transaction(**{field: identifier})))
            assert outcome.reason == Reason.CARD_NUMBER_PRESENT, identifier
            assert outcome.record["redacted"]
            assert identifier.encode() not in everything(outcome)


@pytest.mark.parametrize("field", ["transaction_id", "merchant_id", "device_id"])
def test_numbers_in_exempt_fields_are_accepted_and_kept_in_dead_letters(
    make: Any, exempting_pipeline: Any, field: str
) -> None:
    for identifier in KEPT_WHERE_EXEMPT:
        for kind in (make.avro, make.json):
            assert exempting_pipeline(kind(make.transaction(**{field: identifier}))).record[field] == identifier
            letter = exempting_pipeline(kind(make.transaction(currency="XXX", **{field: identifier}))).record
            assert letter["reason"] == Reason.UNKNOWN_CURRENCY
            assert identifier.encode() in letter["value"]
            assert not letter["redacted"]


@pytest.mark.parametrize("field", ["transaction_id", "merchant_id", "device_id"])
def test_everything_else_in_exempt_fields_is_refused_and_masked(make: Any, exempting_pipeline: Any, field: str) -> None:
    for identifier in REFUSED_WHERE_EXEMPT:
        for kind in (make.avro, make.json):
            outcome = exempting_pipeline(kind(make.transaction(**{field: identifier})))
            assert outcome.reason == Reason.CARD_NUMBER_PRESENT, identifier
            assert identifier.encode() not in everything(outcome)


def test_the_card_number_of_a_message_is_refused_in_exempt_fields(make: Any, exempting_pipeline: Any) -> None:
    accepted = exempting_pipeline(make.json(make.document(merchant_id="4012888888881881")))
    assert accepted.record["merchant_id"] == "4012888888881881"
    outcome = exempting_pipeline(make.json(make.document(merchant_id=PAN)))
    assert outcome.reason == Reason.CARD_NUMBER_PRESENT
    assert_gone(outcome)


@every_row("case", FIELD_CASES)
def test_fields_of_a_decoded_dead_letter_pass_the_shared_masking_cases(
    make: Any, pipeline: Any, case: MaskingCase
) -> None:
    message = make.avro(make.transaction(currency="XXX", device_id=case.original.decode()))
    letter = pipeline(message).record
    assert letter["value"] == message.value.replace(case.original, case.masked)


@every_row("case", JSON_CASES)
def test_json_dead_letters_pass_the_shared_masking_cases(make: Any, pipeline: Any, case: MaskingCase) -> None:
    outcome = pipeline(make.json(value=case.original))
    if b"card_number" in case.original:  # its field is tokenised, or masked on its own
        assert outcome.record["redacted"]
        assert_gone(outcome)
    else:
        assert (outcome.record["value"], outcome.record["redacted"]) == (case.masked, case.changes)


@every_row("case", BINARY_CASES)
def test_undecodable_dead_letters_pass_the_shared_masking_cases(make: Any, pipeline: Any, case: MaskingCase) -> None:
    letter = pipeline(make.avro(value=case.original)).record
    assert (letter["value"], letter["redacted"]) == (case.masked, case.changes)


def with_check_digit(digits: str) -> str:
    total = sum(
        digit if place % 2 else (digit * 2 - 9 if digit > 4 else digit * 2)
        for place, digit in enumerate(map(int, reversed(digits)))
    )
    return digits + str(-total % 10)


card_numbers = st.from_regex(r"[2-6][0-9]{11,17}", fullmatch=True).map(with_check_digit)


@given(card_number=card_numbers, around=st.tuples(st.text(max_size=5), st.text(max_size=5)), spoil=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_outcome_of_a_json_message_contains_its_card_number(
    make: Any, pipeline: Any, card_number: str, around: tuple[str, str], spoil: bool
) -> None:
    outcome = pipeline(make.json(make.document(card_number=card_number, **({"country": "?"} if spoil else {}))))
    assert isinstance(outcome, DeadLetter if spoil else Enriched)
    assert card_number.encode() not in everything(outcome)
    written = f"{around[0]}{card_number}{around[1]}"
    for repeated in (
        {"note": written},
        {"note": int(card_number)},
        {"device_id": written},
        {"merchant_id": card_number},
    ):
        outcome = pipeline(make.json(make.document(card_number=card_number, **repeated)))
        assert isinstance(outcome, DeadLetter)
        assert card_number not in str(json.loads(outcome.record["value"]))


def test_logs_contain_no_card_number(make: Any, pipeline: Any, capfd: Any, caplog: Any) -> None:
    def broken(*_: Any) -> None:
        raise ValueError(PAN)

    outcome = replace(pipeline, validate=broken)(make.avro(make.transaction(device_id=PAN)))
    assert outcome.reason == Reason.INTERNAL_ERROR
    assert_gone(outcome)
    captured = capfd.readouterr()
    logged = captured.out + captured.err + caplog.text
    assert "ValueError" in logged
    assert PAN not in logged
