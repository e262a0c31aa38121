"""Tokenisation: replaces a card number by a token, its BIN and its last four digits."""

import hashlib
import hmac
from typing import Final, NamedTuple

from cardwatch_card_numbers.check_digits import luhn_valid

MIN_KEY_BYTES: Final = 16

_TOKEN_HEX_DIGITS: Final = 32
_BIN_DIGITS: Final = 6
_LAST_DIGITS: Final = 4


class CardIdentity(NamedTuple):
    """The part of a card number that is kept."""

    card_token: str
    card_bin: str
    card_last_four: str


def only_digits(card_number: str) -> str:
    """A card number without the spaces and hyphens between its groups."""
    return card_number.replace(" ", "").replace("-", "")


def tokenise(card_number: str, key: bytes) -> CardIdentity:
    """Turn a card number into its token, BIN and last four digits.

    The token is HMAC-SHA-256 (RFC 2104) over the whole number's digits, its first 128 bits in hexadecimal.

    Raises:
        ValueError: it is not 13 to 19 digits with a valid check digit, or the key is shorter than 16 bytes.
    """
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"a tokenisation key has at least {MIN_KEY_BYTES} bytes")
    digits = only_digits(card_number)
    if not luhn_valid(digits):
        raise ValueError("a card number is 13 to 19 digits with a valid check digit")
    token = hmac.new(key, digits.encode("ascii"), hashlib.sha256).hexdigest()[:_TOKEN_HEX_DIGITS]
    return CardIdentity(token, digits[:_BIN_DIGITS], digits[-_LAST_DIGITS:])
