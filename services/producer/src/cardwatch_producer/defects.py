"""Ways in which a message can be invalid, each with the reason code for which the enricher must refuse it.

A defect changes either the record before it is encoded, or the bytes after. Pure functions: the same message and
defect make the same bytes.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import HEADER, MAGIC_BYTE

Format = Literal["avro", "json"]

BOTH: Final[frozenset[Format]] = frozenset({"avro", "json"})
AVRO: Final[frozenset[Format]] = frozenset({"avro"})
JSON: Final[frozenset[Format]] = frozenset({"json"})

# No registry hands out ids this high.
_NOBODYS_SCHEMA_ID: Final = 2_000_000_123
# A published test number: Luhn-valid, of no real account.
_TEST_CARD_NUMBER: Final = "4111111111111111"
# 2100-01-01: ahead of the broker's clock, even if the simulation's own clock was set to a later time.
_FAR_FUTURE_US: Final = 4_102_444_800_000_000


class Defect(NamedTuple):
    """One way in which a message can be invalid.

    Attributes:
        name: the defect's name; several defects can have the same reason.
        reason: the code with which the enricher must refuse it.
        formats: where it can occur.
        spoil_record: changes the record in place, before it is encoded.
        spoil_bytes: (encoded message, an encoded record of another schema) → the bytes that are sent; None: no value.
    """

    name: str
    reason: Reason
    formats: frozenset[Format]
    spoil_record: Callable[[dict[str, Any]], None] | None = None
    spoil_bytes: Callable[[bytes, bytes], bytes | None] | None = None


def _set(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def spoil(record: dict[str, Any]) -> None:
        record[field] = value

    return spoil


def _negative_amount(record: dict[str, Any]) -> None:
    record["amount_minor"] = -record["amount_minor"]


def _from_the_future(record: dict[str, Any]) -> None:
    record["event_time"] = _FAR_FUTURE_US


def _milliseconds(record: dict[str, Any]) -> None:
    # Taken as microseconds, some weeks after 1970-01-01.
    record["event_time"] //= 1_000


def _without_amount(record: dict[str, Any]) -> None:
    del record["amount_minor"]


def _mistyped_digit(record: dict[str, Any]) -> None:
    number = record["card_number"]
    record["card_number"] = number[:-1] + str((int(number[-1]) + 1) % 10)


def _json_text(value: bytes, other: bytes) -> bytes:
    return b'{"transaction_id": "sent to the wrong topic"}'


def _unknown_schema(value: bytes, other: bytes) -> bytes:
    return HEADER.pack(MAGIC_BYTE, _NOBODYS_SCHEMA_ID) + value[HEADER.size :]


def _cut_off(value: bytes, other: bytes) -> bytes:
    # Cut after two thirds: that is inside the strings, even if the optional fields at the end are missing.
    return value[: len(value) * 2 // 3]


def _left_over(value: bytes, other: bytes) -> bytes:
    return value + b"\x00left over"


DEFECTS: Final = (
    # The frame and its encoding
    Defect("no value", Reason.EMPTY_MESSAGE, BOTH, spoil_bytes=lambda value, other: None),
    Defect("not framed", Reason.NOT_CONFLUENT_FRAMED, AVRO, spoil_bytes=_json_text),
    Defect("unknown schema id", Reason.UNKNOWN_SCHEMA_ID, AVRO, spoil_bytes=_unknown_schema),
    Defect("another schema", Reason.WRONG_SCHEMA, AVRO, spoil_bytes=lambda value, other: other),
    Defect("cut off", Reason.UNDECODABLE_AVRO, AVRO, spoil_bytes=_cut_off),
    Defect("bytes left over", Reason.UNDECODABLE_AVRO, AVRO, spoil_bytes=_left_over),
    Defect("cut off", Reason.MALFORMED_JSON, JSON, spoil_bytes=_cut_off),
    Defect("no amount", Reason.MISSING_FIELD, JSON, _without_amount),
    Defect("field that nobody knows", Reason.UNKNOWN_FIELD, JSON, _set("loyalty_points", 12)),
    Defect("amount as text", Reason.WRONG_TYPE, JSON, _set("amount_minor", "12.50")),
    # The values
    Defect("empty transaction id", Reason.INVALID_TRANSACTION_ID, BOTH, _set("transaction_id", "")),
    Defect("token that is not hexadecimal", Reason.INVALID_CARD_TOKEN, AVRO, _set("card_token", "not-a-token")),
    Defect("mistyped card number", Reason.INVALID_CARD_NUMBER, JSON, _mistyped_digit),
    Defect("card number in a field", Reason.CARD_NUMBER_PRESENT, BOTH, _set("device_id", _TEST_CARD_NUMBER)),
    Defect("text that reads backwards", Reason.CONTROL_CHARACTERS, BOTH, _set("merchant_id", "m-\u202e1")),
    Defect("letters in the BIN", Reason.INVALID_BIN, AVRO, _set("card_bin", "40A0O0")),
    Defect("negative amount", Reason.INVALID_AMOUNT, BOTH, _negative_amount),
    Defect("unknown currency", Reason.UNKNOWN_CURRENCY, BOTH, _set("currency", "ZZZ")),
    Defect("empty merchant id", Reason.INVALID_MERCHANT_ID, BOTH, _set("merchant_id", "")),
    Defect(
        "merchant category in words",
        Reason.INVALID_MERCHANT_CATEGORY_CODE,
        BOTH,
        _set("merchant_category_code", "shoes"),
    ),
    Defect("country that does not exist", Reason.INVALID_COUNTRY, BOTH, _set("country", "ZZ")),
    Defect("unknown channel", Reason.INVALID_CHANNEL, BOTH, _set("channel", "telegraph")),
    Defect("unknown type", Reason.INVALID_TRANSACTION_TYPE, BOTH, _set("transaction_type", "gift")),
    Defect("unknown status", Reason.INVALID_STATUS, BOTH, _set("status", "perhaps")),
    Defect("north of the pole", Reason.INVALID_LOCATION, BOTH, _set("latitude", 123.4)),
    Defect("from the future", Reason.EVENT_TIME_IN_FUTURE, BOTH, _from_the_future),
    Defect("milliseconds for microseconds", Reason.EVENT_TIME_IMPLAUSIBLE, BOTH, _milliseconds),
)


def defects_of(message_format: Format) -> tuple[Defect, ...]:
    """The defects that can occur in a format."""
    return tuple(defect for defect in DEFECTS if message_format in defect.formats)
