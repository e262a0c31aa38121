"""Card numbers: how they become tokens, and how one that slipped in is found.

A card number (PAN) is 13 to 19 digits whose last is a check digit by the Luhn algorithm (ISO/IEC 7812-1, annex B).
"""

import hashlib
import hmac
import re
from typing import Final, NamedTuple

_TOKEN_HEX_DIGITS: Final = 32
_BIN_DIGITS: Final = 6
_LAST_DIGITS: Final = 4

# Thirteen to nineteen digits in a row, or in the groups in which cards carry them: fours with a shorter rest, or
# 4-6-5 and 4-6-4. Any grouping at all would find "card numbers" in one of some 25,000 UUIDs.
_CANDIDATE: Final = re.compile(
    r"(?<![0-9A-Za-z])"
    r"(?:\d{13,19}|\d{4}(?P<by>[ -])(?:\d{4}(?P=by)\d{4}(?P=by)(?:\d{4}(?P=by)\d{1,3}|\d{1,4})|\d{6}(?P=by)\d{4,5}))"
    r"(?![0-9A-Za-z])"
)


class CardIdentity(NamedTuple):
    """What is kept of a card number."""

    card_token: str
    card_bin: str
    card_last_four: str


def luhn_valid(digits: str) -> bool:
    """Whether 13 to 19 ASCII digits end in the right check digit (ISO/IEC 7812-1, annex B)."""
    if not (13 <= len(digits) <= 19 and digits.isascii() and digits.isdigit()):
        return False
    total = 0
    for position, char in enumerate(reversed(digits)):
        value = ord(char) - 48
        if position % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def tokenise(card_number: str, key: bytes) -> CardIdentity:
    """Turn a card number into its token, BIN and last four digits.

    The token is HMAC-SHA-256 (RFC 2104) over the whole number's digits, its first 128 bits in hexadecimal.

    Raises:
        ValueError: it is not 13 to 19 digits with a right check digit, or the key is shorter than 16 bytes.
    """
    if len(key) < 16:
        raise ValueError("a tokenisation key has at least 16 bytes")
    digits = card_number.replace(" ", "").replace("-", "")
    if not luhn_valid(digits):
        raise ValueError("a card number is 13 to 19 digits with a valid check digit")
    token = hmac.new(key, digits.encode("ascii"), hashlib.sha256).hexdigest()[:_TOKEN_HEX_DIGITS]
    return CardIdentity(token, digits[:_BIN_DIGITS], digits[-_LAST_DIGITS:])


def find_card_numbers(text: str) -> list[str]:
    """The substrings of a text that are Luhn-valid card numbers, grouped by spaces or hyphens or not."""
    return [
        match.group()
        for match in _CANDIDATE.finditer(text)
        if luhn_valid(match.group().replace(" ", "").replace("-", ""))
    ]
