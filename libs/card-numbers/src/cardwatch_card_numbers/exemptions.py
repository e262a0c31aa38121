"""Values of our own fields that look like card numbers by chance only: on acceptance, in JSON, and in Avro.

Acceptance and masking ask ``is_exempt`` alike, so that what is accepted in a field is kept in that field. An operator
can exempt the numbers of identifier fields altogether; all that accept and mask have to be given the same fields.
"""

import re
from typing import Final

from cardwatch_card_numbers.check_digits import MAX_DIGITS, LuhnSums
from cardwatch_card_numbers.scanner import begins_or_ends_with_number, is_number_as_a_whole

EXEMPT_VALUES: Final = {
    # Microseconds or milliseconds since 1970, until 2033: they begin with 1, which no card number of that length does.
    "event_time": re.compile(r"1[0-9]{12}(?:[0-9]{3})?"),
    "latitude": re.compile(r"-?(?:90|[0-8]?[0-9])\.[0-9]+"),
    "longitude": re.compile(r"-?(?:180|1[0-7][0-9]|[0-9]{1,2})\.[0-9]+"),
    # One in some millions has no letter, and then does not look like a hexadecimal number.
    "card_token": re.compile(r"[0-9a-f]{32}"),
}
"""Whole values that are not searched."""

IDENTIFIER_FIELDS: Final = frozenset({"transaction_id", "merchant_id", "device_id"})
"""Fields in which a text of nothing but digits is a card number only as a whole: of 100 random numbers of 19 digits, 27
have what looks like a card number somewhere inside, and 3 look like one themselves. Zeros before it do not count. A
number of more digits than a card number has is searched at its two ends, and an acquirer reference number not at
all."""

NO_FIELDS: Final[frozenset[str]] = frozenset()

_NUMBER: Final = re.compile(r"[0-9]{1,64}")
# 23 digits: a format code, the acquirer's BIN, the date, a film locator, and Luhn's check digit of all.
_ACQUIRER_REFERENCE_NUMBER: Final = re.compile(r"[27][0-9]{22}")


def is_exempt(name: str, value: str, exempt_fields: frozenset[str] = NO_FIELDS) -> bool:
    """Whether the value of a field of this name may be kept, whatever the scanner finds in it.

    Args:
        exempt_fields: fields whose values are not searched where they are nothing but 1 to 64 digits.
    """
    if name in EXEMPT_VALUES:
        return EXEMPT_VALUES[name].fullmatch(value) is not None
    if name not in IDENTIFIER_FIELDS or _NUMBER.fullmatch(value) is None:
        return False
    if name in exempt_fields:
        return True
    if len(value) <= MAX_DIGITS:
        return not is_number_as_a_whole(value.lstrip("0"))
    if _ACQUIRER_REFERENCE_NUMBER.fullmatch(value) and LuhnSums(value).valid(0, len(value)):
        return True
    return not begins_or_ends_with_number(value)


def parse_exempt_fields(text: str) -> frozenset[str]:
    """The fields of a setting: names separated by commas, of IDENTIFIER_FIELDS only.

    Raises:
        ValueError: a name is none of them.
    """
    fields = frozenset(name.strip() for name in text.split(",") if name.strip())
    if unknown := sorted(fields - IDENTIFIER_FIELDS):
        raise ValueError(
            f"expected names of {', '.join(sorted(IDENTIFIER_FIELDS))}, separated by commas, got {', '.join(unknown)}: "
            "in no other field of a transaction is a number of 13 to 19 digits an identifier"
        )
    return fields
