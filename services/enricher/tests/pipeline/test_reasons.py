"""Every reason code of the enricher, each given to a message that is otherwise valid."""

import struct
from dataclasses import replace
from typing import Any

import pytest
from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_enricher.pipeline.outcomes import Enriched
from cardwatch_enricher.pipeline.pipeline import Pipeline
from cardwatch_kafka.dead_letters import DeadLetter
from cardwatch_kafka.messages import ReceivedMessage

FRAME = struct.Struct(">bI")

# The changed fields of a valid record → the reason code of the refusal.
BAD_FIELDS: list[tuple[dict[str, Any], Reason]] = [
    ({"transaction_id": ""}, Reason.INVALID_TRANSACTION_ID),
    ({"transaction_id": "x" * 65}, Reason.INVALID_TRANSACTION_ID),
    ({"transaction_id": "a\u00a0b"}, Reason.INVALID_TRANSACTION_ID),
    ({"transaction_id": "a\nb"}, Reason.CONTROL_CHARACTERS),
    ({"transaction_id": "  "}, Reason.INVALID_TRANSACTION_ID),
    ({"card_token": "0123"}, Reason.INVALID_CARD_TOKEN),
    ({"card_token": "0123456789ABCDEF0123456789ABCDEF"}, Reason.INVALID_CARD_TOKEN),
    ({"card_token": "٠" * 32}, Reason.INVALID_CARD_TOKEN),
    ({"card_token_key_id": ""}, Reason.INVALID_CARD_TOKEN),
    ({"card_last_four": "111"}, Reason.INVALID_CARD_TOKEN),
    ({"card_bin": "40000"}, Reason.INVALID_BIN),
    ({"card_bin": "400000000"}, Reason.INVALID_BIN),
    ({"amount_minor": -1}, Reason.INVALID_AMOUNT),
    ({"amount_minor": 10**12 + 1}, Reason.INVALID_AMOUNT),
    ({"currency": "XXX"}, Reason.UNKNOWN_CURRENCY),
    ({"currency": "eur"}, Reason.UNKNOWN_CURRENCY),
    ({"merchant_id": ""}, Reason.INVALID_MERCHANT_ID),
    ({"merchant_category_code": "541"}, Reason.INVALID_MERCHANT_CATEGORY_CODE),
    ({"merchant_category_code": "54A1"}, Reason.INVALID_MERCHANT_CATEGORY_CODE),
    ({"country": "UK"}, Reason.INVALID_COUNTRY),
    ({"country": "de"}, Reason.INVALID_COUNTRY),
    ({"channel": "web"}, Reason.INVALID_CHANNEL),
    ({"transaction_type": "gift"}, Reason.INVALID_TRANSACTION_TYPE),
    ({"status": "pending"}, Reason.INVALID_STATUS),
    ({"latitude": 52.0}, Reason.INVALID_LOCATION),
    ({"longitude": 13.0}, Reason.INVALID_LOCATION),
    ({"latitude": 90.1, "longitude": 0.0}, Reason.INVALID_LOCATION),
    ({"latitude": 0.0, "longitude": -180.1}, Reason.INVALID_LOCATION),
    ({"latitude": float("nan"), "longitude": 0.0}, Reason.INVALID_LOCATION),
    ({"event_time": 946_684_799_999_999}, Reason.EVENT_TIME_IMPLAUSIBLE),
    ({"event_time": 1_795_564_860_000_001}, Reason.EVENT_TIME_IN_FUTURE),
    ({"device_id": "4111 1111 1111 1111"}, Reason.CARD_NUMBER_PRESENT),
    ({"transaction_id": "4111-1111-1111-1111"}, Reason.CARD_NUMBER_PRESENT),
    ({"merchant_id": "4111111111111111"}, Reason.CARD_NUMBER_PRESENT),
    ({"card_token": "4111111111111111"}, Reason.CARD_NUMBER_PRESENT),
    ({"currency": "4111111111111111"}, Reason.CARD_NUMBER_PRESENT),
    ({"ip_address": "x" * 257}, Reason.WRONG_TYPE),
]

# Only JSON can break the schema's shape. None stands for "leave the field out".
BAD_JSON_FIELDS: list[tuple[dict[str, Any], Reason]] = [
    ({"colour": "red"}, Reason.UNKNOWN_FIELD),
    ({"card_token": "0123456789abcdef0123456789abcdef"}, Reason.UNKNOWN_FIELD),
    ({"amount_minor": "1050"}, Reason.WRONG_TYPE),
    ({"amount_minor": 10.5}, Reason.WRONG_TYPE),
    ({"amount_minor": 1050.0}, Reason.WRONG_TYPE),
    ({"amount_minor": True}, Reason.WRONG_TYPE),
    ({"amount_minor": None}, Reason.WRONG_TYPE),
    ({"amount_minor": 2**63}, Reason.WRONG_TYPE),
    ({"transaction_id": 17}, Reason.WRONG_TYPE),
    ({"transaction_id": "half a character \ud800"}, Reason.WRONG_TYPE),
    ({"latitude": "52", "longitude": 13.0}, Reason.WRONG_TYPE),
    ({"latitude": False, "longitude": 13.0}, Reason.WRONG_TYPE),
    ({"latitude": 10**400, "longitude": 13.0}, Reason.WRONG_TYPE),
    ({"event_time": "2026-11-25T00:00:00"}, Reason.WRONG_TYPE),
    ({"event_time": "yesterday"}, Reason.WRONG_TYPE),
    ({"event_time": 1.5}, Reason.WRONG_TYPE),
    ({"device_id": {"id": 1}}, Reason.WRONG_TYPE),
    ({"card_number": 4111111111111111}, Reason.WRONG_TYPE),
    ({"card_number": "4111111111111112"}, Reason.INVALID_CARD_NUMBER),
    ({"card_number": "411111111111"}, Reason.INVALID_CARD_NUMBER),
    ({"card_number": ""}, Reason.INVALID_CARD_NUMBER),
]

BAD_JSON: list[tuple[bytes | None, Reason]] = [
    (None, Reason.EMPTY_MESSAGE),
    (b"", Reason.EMPTY_MESSAGE),
    (b"{", Reason.MALFORMED_JSON),
    (b"[]", Reason.MALFORMED_JSON),
    (b'"text"', Reason.MALFORMED_JSON),
    (b"null", Reason.MALFORMED_JSON),
    (b"\xff\xfe{\x00}\x00", Reason.MALFORMED_JSON),
    (b'{"amount_minor": NaN}', Reason.MALFORMED_JSON),
    (b'{"amount_minor": 1, "amount_minor": 2}', Reason.MALFORMED_JSON),
    (b'{"amount_minor": ' + b"9" * 5000 + b"}", Reason.MALFORMED_JSON),
    (b"[" * 100_000, Reason.MALFORMED_JSON),
    (b"{}", Reason.MISSING_FIELD),
]

BAD_FRAMES: list[tuple[bytes | None, Reason]] = [
    (None, Reason.EMPTY_MESSAGE),
    (b"", Reason.EMPTY_MESSAGE),
    (b"\x00\x00", Reason.NOT_CONFLUENT_FRAMED),
    (b'{"transaction_id": "t-1"}', Reason.NOT_CONFLUENT_FRAMED),
    (FRAME.pack(0, 99), Reason.UNKNOWN_SCHEMA_ID),
    (FRAME.pack(0, 8), Reason.WRONG_SCHEMA),
    (FRAME.pack(0, 7), Reason.UNDECODABLE_AVRO),
    (FRAME.pack(0, 7) + b"\xff" * 40, Reason.UNDECODABLE_AVRO),
]


def refused(pipeline: Any, message: ReceivedMessage) -> DeadLetter:
    outcome = pipeline(message)
    assert isinstance(outcome, DeadLetter), outcome
    assert outcome.record["reason"] == outcome.reason
    assert outcome.record["detail"]
    return outcome


@pytest.mark.parametrize(("changes", "reason"), BAD_FIELDS)
def test_an_invalid_avro_field_is_refused_with_its_reason(
    make: Any, pipeline: Any, changes: dict[str, Any], reason: Reason
) -> None:
    assert refused(pipeline, make.avro(make.transaction(**changes))).reason == reason


@pytest.mark.parametrize(("changes", "reason"), BAD_FIELDS)
def test_an_invalid_json_field_is_refused_with_its_reason(
    make: Any, pipeline: Any, changes: dict[str, Any], reason: Reason
) -> None:
    if changes.get("latitude") != changes.get("latitude"):
        reason = Reason.MALFORMED_JSON  # JSON has no NaN
    assert refused(pipeline, make.json(make.transaction(**changes))).reason == reason


@pytest.mark.parametrize(("changes", "reason"), BAD_JSON_FIELDS)
def test_invalid_json_shapes_are_refused_with_their_reason(
    make: Any, pipeline: Any, changes: dict[str, Any], reason: Reason
) -> None:
    assert refused(pipeline, make.json(make.document(**changes))).reason == reason


@pytest.mark.parametrize(("value", "reason"), BAD_JSON)
def test_values_that_are_not_json_transactions_are_refused(
    make: Any, pipeline: Any, value: bytes | None, reason: Reason
) -> None:
    assert refused(pipeline, make.json(value=value)).reason == reason


@pytest.mark.parametrize(("value", "reason"), BAD_FRAMES)
def test_values_that_are_not_avro_transactions_are_refused(
    make: Any, fresh_pipeline: Any, value: bytes | None, reason: Reason
) -> None:
    # A pipeline of its own: once other tests have used up the budget of look-ups, each id that is not known is unknown.
    assert refused(fresh_pipeline, make.avro(value=value)).reason == reason


def test_bytes_after_the_record_are_refused(make: Any, pipeline: Any) -> None:
    message = make.avro(value=make.encode(make.transaction()) + b"!")
    assert refused(pipeline, message).reason == Reason.UNDECODABLE_AVRO


@pytest.mark.parametrize("field", ["transaction_id", "event_time", "card_number", "amount_minor", "country"])
def test_a_missing_field_without_default_is_refused(make: Any, pipeline: Any, field: str) -> None:
    document = make.document()
    del document[field]
    assert refused(pipeline, make.json(document)).reason == Reason.MISSING_FIELD


def test_an_internal_error_affects_one_message_only(make: Any, fresh_pipeline: Pipeline, metrics: Any) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError(f"while handling {make.card_number}")

    letter = refused(replace(fresh_pipeline, enrich=broken), make.avro(make.transaction()))
    assert letter.reason == Reason.INTERNAL_ERROR
    assert "ZeroDivisionError" in letter.record["detail"]
    assert make.card_number not in letter.record["detail"]
    assert metrics.registry.get_sample_value("cardwatch_errors_total", {"kind": "internal_error"}) == 1
    assert isinstance(fresh_pipeline(make.avro(make.transaction())), Enriched)


def test_every_reason_code_is_covered_by_a_case() -> None:
    tables: list[list[tuple[Any, Reason]]] = [BAD_FIELDS, BAD_JSON_FIELDS, BAD_JSON, BAD_FRAMES]
    fired = {reason for table in tables for _, reason in table} | {Reason.INTERNAL_ERROR}
    assert fired == set(Reason) - {Reason.UNKNOWN_LABEL}, "which the lakehouse gives"


@pytest.mark.parametrize("failure", [RegistryUnavailableError("away"), OSError("reset"), RuntimeError("whatever")])
def test_a_registry_that_does_not_answer_refuses_nothing(
    make: Any, fresh_pipeline: Any, registry: Any, failure: Exception
) -> None:
    registry.failures.append(failure)
    message = make.avro(make.transaction())
    with pytest.raises(RegistryUnavailableError):
        fresh_pipeline(message)
    assert isinstance(fresh_pipeline(message), Enriched)


def test_an_unknown_schema_id_is_not_asked_for_with_each_message(make: Any, fresh_pipeline: Any, registry: Any) -> None:
    for _ in range(5):
        refused(fresh_pipeline, make.avro(value=FRAME.pack(0, 99) + b"garbage"))
    assert registry.subjects == ["transactions.raw.v1-value"]


def test_event_times_are_compared_with_the_brokers_time_and_not_the_local_clock(make: Any, pipeline: Any) -> None:
    year_2040 = 2_208_988_800_000_000
    record = make.transaction(event_time=year_2040 + 60_000_000)
    assert isinstance(pipeline(make.avro(record, broker_time=year_2040)), Enriched)
    assert refused(pipeline, make.avro(record, broker_time=year_2040 - 1)).reason == Reason.EVENT_TIME_IN_FUTURE
