"""One valid record of each schema; a test gives the fields that matter to it, and gets the others.

Nothing is random and no clock is asked: two calls with the same arguments give equal records.
"""

from typing import Any, Final

from cardwatch_contracts.identity import alert_id, dead_letter_id
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_contracts.wire import Record

CARD_NUMBER: Final = "4111111111111111"  # a published test number
CARD_TOKEN: Final = "0123456789abcdef0123456789abcdef"

EVENT_TIME_US: Final = 1_795_478_400_000_000  # 2026-11-24T00:00:00Z
SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US

_CARD_FIELDS: Final = (
    "card_token",
    "card_token_key_id",
    "card_bin",
    "card_last_four",
    "other_card_token",
    "other_card_token_key_id",
)
_ALERT_FIELDS_FROM_TRANSACTION: Final = (
    "transaction_id", "event_time", "card_token", "card_bin", "card_last_four", "merchant_id", "country",
    "amount_minor", "currency", "base_amount_minor", "raw_broker_time",
)  # fmt: skip


def transaction_record(**changes: Any) -> Record:
    """A transaction as producers send it to the raw topic."""
    return {
        "transaction_id": "t-1",
        "event_time": EVENT_TIME_US,
        "card_token": CARD_TOKEN,
        "card_token_key_id": "dev-1",
        "card_bin": "400000",
        "card_last_four": "1111",
        "amount_minor": 1050,
        "currency": "EUR",
        "merchant_id": "m-1",
        "merchant_category_code": "5411",
        "country": "DE",
        "channel": "pos",
        "transaction_type": "purchase",
        "status": "approved",
        "device_id": None,
        "ip_address": None,
        "latitude": None,
        "longitude": None,
        "other_card_token": None,
        "other_card_token_key_id": None,
        **changes,
    }


def transaction_document(**changes: Any) -> dict[str, Any]:
    """The same transaction as legacy producers send it to the JSON topic: with a card number instead of a token."""
    record = transaction_record()
    return {
        **{name: value for name, value in record.items() if name not in _CARD_FIELDS},
        "card_number": CARD_NUMBER,
        **changes,
    }


def enriched_record(**changes: Any) -> Record:
    """The same transaction as the enricher publishes it, in euros; all its times are its event time."""
    transaction = transaction_record(**{name: changes[name] for name in transaction_record() if name in changes})
    return {
        **transaction,
        "base_currency": "EUR",
        "base_amount_minor": transaction["amount_minor"],
        "merchant_category_group": "grocery",
        "bin_country": "DE",
        "hour_of_day": 0,
        "day_of_week": 2,
        "raw_topic": "raw",
        "raw_partition": 0,
        "raw_offset": 0,
        "raw_broker_time": transaction["event_time"],
        "enriched_at": transaction["event_time"],
        **changes,
    }


def alert_record(transaction: Record | None = None, **changes: Any) -> Record:
    """The alert that one rule raises for a transaction (``enriched_record``), with that rule's id for it.

    It was detected two seconds after the transaction, and its window starts two minutes before it.
    """
    about = transaction or enriched_record()
    rule_id, rule_version = changes.get("rule_id", "card-velocity"), changes.get("rule_version", 1)
    transaction_id = changes.get("transaction_id", about["transaction_id"])
    record = {
        **{name: about[name] for name in _ALERT_FIELDS_FROM_TRANSACTION},
        "alert_id": alert_id(rule_id, rule_version, transaction_id),
        "status": "raised",
        "rule_id": rule_id,
        "rule_version": rule_version,
        "rule_title": "Five payments with one card within two minutes",
        "severity": "high",
        "mode": "live",
        "scope": "card",
        "key": about["card_token"],
        "measures": [
            {"name": "payments", "expression": "count(*)", "window_us": 2 * MINUTE_US, "value": 5, "text": None}
        ],
        "window_start": about["event_time"] - 2 * MINUTE_US,
        "evidence_transaction_ids": [transaction_id],
        "evidence_count": 5,
        "detected_at": about["event_time"] + 2 * SECOND_US,
        "suppressed_by": None,
        **changes,
    }
    return {name: record[name] for name in _field_names("alert")} | changes


def feedback_record(labelled_alert_id: str, label: str, **changes: Any) -> Record:
    """An analyst's label of an alert."""
    return {
        "alert_id": labelled_alert_id,
        "label": label,
        "note": "",
        "labelled_by": "anna",
        "labelled_at": EVENT_TIME_US,
        **changes,
    }


def dead_letter_record(**changes: Any) -> Record:
    """A message of the raw topic that the enricher has refused, with the dead letter's id for its place."""
    place = {"source_topic": "raw", "source_partition": 0, "source_offset": 0}
    place |= {name: changes[name] for name in place if name in changes}
    return {
        **place,
        "dead_letter_id": dead_letter_id(*place.values()),
        "reason": Reason.INVALID_AMOUNT.value,
        "detail": "an amount is never negative",
        "service": "enricher",
        "source_time": EVENT_TIME_US,
        "key": b"k",
        "value": b"{}",
        "redacted": False,
        "headers": [],
        "refused_at": EVENT_TIME_US,
        **changes,
    }


def card_profile_record(card_token: str = CARD_TOKEN, mean: float = 2000.0, **changes: Any) -> Record:
    """A card's profile of the last 30 and 90 days on the day of ``EVENT_TIME_US``; amounts in cents."""
    return {
        "card_token": card_token,
        "valid_on": EVENT_TIME_US,
        "transactions_30d": 30,
        "mean_amount_minor_30d": mean,
        "stddev_amount_minor_30d": 1.5,
        "transactions_90d": 90,
        "mean_amount_minor_90d": mean,
        "stddev_amount_minor_90d": None,
        "max_amount_minor_90d": 5000,
        "active_days_90d": 20,
        "countries_90d": ["AT", "DE"],
        "hours_90d": [9, 10, 12],
        **changes,
    }


def _field_names(schema: str) -> list[str]:
    """A schema's fields in their order, which is that of a decoded record."""
    return [field["name"] for field in parsed_schema(schema)["fields"]]
