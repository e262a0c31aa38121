"""Which transactions are refused: the first rule that one breaks is the reason.

Every text field is searched for card numbers first, by the scanner that masking uses too, and a message that holds one
is refused. Some long numeric identifiers are taken for card numbers by chance (``docs/card-numbers.md`` says how many).
In return no topic behind the enricher holds a card number.
"""

import re
from collections.abc import Container
from typing import Any, Final

from cardwatch_card_numbers.exemptions import NO_FIELDS, is_exempt
from cardwatch_card_numbers.scanner import holds_card_number
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.text import find_control_character
from cardwatch_contracts.values import CHANNELS, EARLIEST_EVENT_TIME, STATUSES, TRANSACTION_TYPES
from cardwatch_contracts.wire import Record
from cardwatch_reference.countries import COUNTRY_CODES
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

MAX_AMOUNT_MINOR: Final = 10**12

MAX_IDENTIFIER_LENGTH: Final = 64
MAX_TEXT_LENGTH: Final = 256

_SHOWN_LENGTH: Final = 40

_TOKEN: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_BIN: Final = re.compile(r"[0-9]{6,8}", re.ASCII)
_FOUR_DIGITS: Final = re.compile(r"[0-9]{4}", re.ASCII)


class Validator:
    """Checks transactions."""

    def __init__(
        self,
        currencies: Container[str],
        future_tolerance_seconds: float,
        exempt_fields: frozenset[str] = NO_FIELDS,
    ) -> None:
        """
        Args:
            currencies: ISO 4217 codes that can be converted.
            future_tolerance_seconds: how far ``event_time`` may lie after the broker's time of the message.
            exempt_fields: fields whose numbers are not searched for card numbers.
        """
        self._currencies = currencies
        self._exempt_fields = exempt_fields
        self._tolerance = round(future_tolerance_seconds * MICROSECONDS_PER_SECOND)

    def __call__(self, record: Record, received_at: int) -> None:
        """Check a record of ``transaction.avsc``.

        Args:
            received_at: when the broker appended the message, in microseconds since 1970 UTC. The future begins
                after it, not after this machine's clock, so that a replay decides the same.

        Raises:
            RefusedError: a rule is broken; the message names the field, what was expected and what was found.
        """
        check_card_numbers(record, self._exempt_fields)
        check_control_characters(record)
        if not _is_identifier(record["transaction_id"]):
            raise _wrong(record, "transaction_id", Reason.INVALID_TRANSACTION_ID, _IDENTIFIER)
        self._check_card(record)
        if not 0 <= record["amount_minor"] <= MAX_AMOUNT_MINOR:
            raise _wrong(record, "amount_minor", Reason.INVALID_AMOUNT, f"0 to {MAX_AMOUNT_MINOR} minor units")
        if record["currency"] not in self._currencies:
            raise _wrong(record, "currency", Reason.UNKNOWN_CURRENCY, "an ISO 4217 code with an exchange rate")
        self._check_merchant(record)
        self._check_kind(record)
        _check_location(record["latitude"], record["longitude"])
        for field in ("device_id", "ip_address"):
            if record[field] is not None and len(record[field]) > MAX_TEXT_LENGTH:
                raise RefusedError(
                    Reason.WRONG_TYPE,
                    f"{field}: expected at most {MAX_TEXT_LENGTH} characters, got {len(record[field])}",
                )
        self._check_time(record["event_time"], received_at)

    @staticmethod
    def _check_card(record: Record) -> None:
        if not _TOKEN.fullmatch(record["card_token"]):
            raise _wrong(record, "card_token", Reason.INVALID_CARD_TOKEN, "32 hexadecimal digits in lower case")
        if not _is_identifier(record["card_token_key_id"]):
            raise _wrong(record, "card_token_key_id", Reason.INVALID_CARD_TOKEN, _IDENTIFIER)
        _check_other_token(record)
        if not _FOUR_DIGITS.fullmatch(record["card_last_four"]):
            raise _wrong(record, "card_last_four", Reason.INVALID_CARD_TOKEN, "the card number's last four digits")
        if not _BIN.fullmatch(record["card_bin"]):
            raise _wrong(record, "card_bin", Reason.INVALID_BIN, "the card number's first 6 to 8 digits")

    @staticmethod
    def _check_merchant(record: Record) -> None:
        if not _is_identifier(record["merchant_id"]):
            raise _wrong(record, "merchant_id", Reason.INVALID_MERCHANT_ID, _IDENTIFIER)
        if not _FOUR_DIGITS.fullmatch(record["merchant_category_code"]):
            raise _wrong(
                record, "merchant_category_code", Reason.INVALID_MERCHANT_CATEGORY_CODE, "four digits (ISO 18245)"
            )
        if record["country"] not in COUNTRY_CODES:
            raise _wrong(record, "country", Reason.INVALID_COUNTRY, "an ISO 3166-1 alpha-2 code in capitals")

    @staticmethod
    def _check_kind(record: Record) -> None:
        if record["channel"] not in CHANNELS:
            raise _wrong(record, "channel", Reason.INVALID_CHANNEL, "pos, atm, ecom or moto")
        if record["transaction_type"] not in TRANSACTION_TYPES:
            raise _wrong(record, "transaction_type", Reason.INVALID_TRANSACTION_TYPE, "purchase, withdrawal or refund")
        if record["status"] not in STATUSES:
            raise _wrong(record, "status", Reason.INVALID_STATUS, "approved or declined")

    def _check_time(self, event_time: int, received_at: int) -> None:
        if event_time < EARLIEST_EVENT_TIME:
            raise RefusedError(
                Reason.EVENT_TIME_IMPLAUSIBLE,
                f"event_time: expected microseconds since 1970-01-01 UTC, got {event_time}, which is before 2000",
            )
        if event_time > received_at + self._tolerance:
            raise RefusedError(
                Reason.EVENT_TIME_IN_FUTURE,
                f"event_time: expected at most {self._tolerance / MICROSECONDS_PER_SECOND:g} s after the broker "
                f"received the message, got {(event_time - received_at) / MICROSECONDS_PER_SECOND:.0f} s",
            )


_IDENTIFIER: Final = f"1 to {MAX_IDENTIFIER_LENGTH} printable characters"


def _is_identifier(text: str) -> bool:
    return 0 < len(text) <= MAX_IDENTIFIER_LENGTH and text.isprintable() and not text.isspace()


def check_card_numbers(record: Record, exempt_fields: frozenset[str] = NO_FIELDS) -> None:
    """Search every text field for card numbers.

    Args:
        exempt_fields: fields whose numbers are not searched.

    Raises:
        RefusedError: there is one; the message names the field and quotes nothing of it.
    """
    # One search through all fields is the fastest; no card number spans a unit separator.
    texts = [text for text in record.values() if isinstance(text, str)]
    if not holds_card_number("\x1f".join(texts)):
        return
    for field, text in record.items():
        if isinstance(text, str) and holds_card_number(text) and not is_exempt(field, text, exempt_fields):
            raise RefusedError(
                Reason.CARD_NUMBER_PRESENT,
                f"{field}: expected a token or an identifier, got what holds a card number (13 to 19 digits of an "
                "issuer's range with a valid check digit, in any notation), a security code or track data",
            )


def check_control_characters(record: Record) -> None:
    """Search every text field for characters that steer a terminal, turn the direction of text or hide it.

    Raises:
        RefusedError: there is one; the message names the field and the character's code.
    """
    for field, text in record.items():
        found = find_control_character(text) if isinstance(text, str) else None
        if found is not None:
            raise RefusedError(
                Reason.CONTROL_CHARACTERS,
                f"{field}: expected text without control characters and marks of direction, got {found}",
            )


def _check_other_token(record: Record) -> None:
    token, key_id = record["other_card_token"], record["other_card_token_key_id"]
    if token is None and key_id is None:
        return
    if token is None or key_id is None:
        raise RefusedError(
            Reason.INVALID_CARD_TOKEN,
            "other_card_token, other_card_token_key_id: expected both or neither, got only one of them",
        )
    if not _TOKEN.fullmatch(token):
        raise _wrong(record, "other_card_token", Reason.INVALID_CARD_TOKEN, "32 hexadecimal digits in lower case")
    if not _is_identifier(key_id) or key_id == record["card_token_key_id"]:
        expected = f"{_IDENTIFIER}, other than card_token_key_id"
        raise _wrong(record, "other_card_token_key_id", Reason.INVALID_CARD_TOKEN, expected)


def _check_location(latitude: float | None, longitude: float | None) -> None:
    if latitude is None and longitude is None:
        return
    if latitude is None or longitude is None:
        raise RefusedError(
            Reason.INVALID_LOCATION, "latitude, longitude: expected both or neither, got only one of them"
        )
    # Written so that NaN, which compares as false, is refused.
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise RefusedError(
            Reason.INVALID_LOCATION,
            f"latitude, longitude: expected -90 to 90 and -180 to 180 degrees, got {latitude:g} and {longitude:g}",
        )


def _wrong(record: Record, field: str, reason: Reason, expected: str) -> RefusedError:
    return RefusedError(reason, f"{field}: expected {expected}, got {_shown(record[field])}")


def _shown(value: Any) -> str:
    """A value as it may appear in an error: shortened."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_LENGTH else shown[:_SHOWN_LENGTH] + "…"
