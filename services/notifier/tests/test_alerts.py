"""The webhook body and the text line of a decoded alert, and the values that are refused."""

import io
import json
import math
import unicodedata
from itertools import product
from typing import Any

import pytest
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_notifier.delivery.alert_text import alert_line, format_amount
from cardwatch_notifier.delivery.receiver import Delivered
from cardwatch_notifier.delivery.standard_output import StandardOutput
from cardwatch_notifier.intake.decoding import alert_from_record, webhook_body
from cardwatch_notifier.outbox.protocol import Message
from cardwatch_units.durations import format_duration
from hypothesis import given
from hypothesis import strategies as st
from support.hostile_texts import HOSTILE_TEXTS, HostileText, control_characters
from support.rows import every_row


def test_the_body_holds_every_field_of_the_schema(kit: Any) -> None:
    body = json.loads(webhook_body(kit.record("a")))
    assert body["type"] == "alert.raised"
    assert list(body["data"]) == [field["name"] for field in parsed_schema("alert")["fields"]]


def test_times_are_iso_8601_in_utc_with_microseconds(kit: Any) -> None:
    body = json.loads(
        webhook_body(kit.record("a", event_time=1_795_478_400_000_001, detected_at=1_795_478_400_500_000))
    )
    assert body["data"]["event_time"] == "2026-11-24T00:00:00.000001Z"
    assert body["timestamp"] == body["data"]["detected_at"] == "2026-11-24T00:00:00.500000Z"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_measure_that_json_cannot_write_becomes_null(kit: Any, value: float) -> None:
    measure = {"name": "m", "expression": "mean(x)", "window_us": 1, "value": value}
    assert json.loads(webhook_body(kit.record("a", measures=[measure])))["data"]["measures"][0]["value"] is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "open"}, Reason.INVALID_STATUS),
        ({"mode": "loud"}, Reason.INVALID_STATUS),
        ({"alert_id": "a.b"}, Reason.WRONG_TYPE),
        ({"alert_id": "{0f0e0d0c-0b0a-0908-0706-050403020100}"}, Reason.WRONG_TYPE),
        ({"event_time": 2**62}, Reason.EVENT_TIME_IMPLAUSIBLE),
    ],
)
def test_values_that_no_alert_can_have_are_refused(kit: Any, fields: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(RefusedError) as refused:
        alert_from_record(kit.record("a", **fields))
    assert refused.value.reason is reason


def test_the_line_shows_time_severity_card_and_measures(kit: Any) -> None:
    measures = [
        {"name": "spent", "expression": "sum(base_amount_minor)", "window_us": 600_000_000, "value": 312_000},
        {"name": "usual", "expression": "mean(base_amount_minor)", "window_us": 604_800_000_000, "value": 1234.5},
        {"name": "highest", "expression": "max(base_amount_minor)", "window_us": 90_000_000, "value": None},
    ]
    fields = {"event_time": 1_795_478_400_000_001, "amount_minor": 5000, "currency": "JPY", "measures": measures}
    assert alert_line(json.loads(webhook_body(kit.record("a", **fields)))) == (
        "2026-11-24T00:00:00Z  HIGH      Five payments with one card within two minutes | card 400000…0002 | "
        "JPY 5,000 at m-17 in DE | spent 312,000 in 10m, usual 1,234.50 in 7d, highest none in 90s | "
        f"alert {kit.alert_id('a')}"
    )


def test_the_line_shows_a_retraction(kit: Any) -> None:
    assert "  RETRACTED HIGH  " in alert_line(json.loads(webhook_body(kit.record("a", "retracted"))))


def test_text_from_a_transaction_cannot_steer_the_terminal(kit: Any) -> None:
    line = alert_line(json.loads(webhook_body(kit.record("a", merchant_id="m\x1b[2J\nfake"))))
    assert "m\\u001b[2J\\u000afake" in line
    assert line.isprintable()


@every_row("case, field", product(HOSTILE_TEXTS, ["merchant_id", "rule_title", "rule_id", "currency", "country"]))
def test_the_body_of_a_message_is_readable_json_of_the_same_value(kit: Any, case: HostileText, field: str) -> None:
    body = webhook_body(kit.record("a", **{field: case.text}))
    assert control_characters(body) == []
    assert json.loads(body)["data"][field] == case.text


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("\x1b\x9b\n\r\u202e\u2066")))
def test_standard_output_gets_one_line_that_steers_nothing(text: str) -> None:
    data = {
        **dict.fromkeys(("severity", "event_time", "rule_title", "card_bin", "card_last_four", "currency"), text),
        **dict.fromkeys(("merchant_id", "country", "alert_id"), text),
        "amount_minor": 100,
        "measures": [{"name": text, "text": text, "value": None, "window_us": 1_000_000}],
    }
    body = json.dumps({"type": f"alert.{text}", "data": data})
    stream = io.StringIO()
    assert StandardOutput(stream).deliver(Message(1, "a-1", "a", body, 0, 0, 0, 0, None)) == Delivered()
    line = stream.getvalue()
    assert line.endswith("\n")
    steering = {char for char in line[:-1] if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")}
    assert steering == set()


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123_456, "EUR", "EUR 1,234.56"),
        (5, "EUR", "EUR 0.05"),
        (-5, "EUR", "EUR -0.05"),
        (5000, "JPY", "JPY 5,000"),
        (1_234_567, "KWD", "KWD 1,234.567"),
        (9_007_199_254_740_993, "USD", "USD 90,071,992,547,409.93"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(minor: int, currency: str, text: str) -> None:
    assert format_amount(minor, currency) == text


@pytest.mark.parametrize(
    ("micros", "text"),
    [(90_000_000, "90s"), (600_000_000, "10m"), (86_400_000_000, "1d"), (5_400_000_000, "90m"), (1_500_000, "1.5s")],
)
def test_windows_are_written_as_in_rules(micros: int, text: str) -> None:
    assert format_duration(micros, one_day="1d") == text
