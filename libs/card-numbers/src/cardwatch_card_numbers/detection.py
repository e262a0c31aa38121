"""What counts as a card number in a text that is checked.

A card number (PAN) is 13 to 19 digits whose last is a check digit by the Luhn algorithm (ISO/IEC 7812-1, annex B).
"""

import re
from typing import Final

MIN_DIGITS: Final = 13
MAX_DIGITS: Final = 19

# Thirteen to nineteen digits in a row, or in the groups in which cards carry them: fours with a shorter rest, or
# 4-6-5 and 4-6-4. Any grouping at all would find "card numbers" in one of some 25,000 UUIDs.
_CANDIDATE: Final = re.compile(
    r"(?<![0-9A-Za-z])"
    r"(?:\d{13,19}|\d{4}(?P<by>[ -])(?:\d{4}(?P=by)\d{4}(?P=by)(?:\d{4}(?P=by)\d{1,3}|\d{1,4})|\d{6}(?P=by)\d{4,5}))"
    r"(?![0-9A-Za-z])"
)


def luhn_valid(digits: str) -> bool:
    """Whether 13 to 19 ASCII digits end in the right check digit (ISO/IEC 7812-1, annex B)."""
    if not (MIN_DIGITS <= len(digits) <= MAX_DIGITS and digits.isascii() and digits.isdigit()):
        return False
    total = 0
    for position, char in enumerate(reversed(digits)):
        value = ord(char) - 48
        if position % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def find_card_numbers(text: str) -> list[str]:
    """The card numbers in a text: Luhn-valid, no letter or digit beside them, in one piece or grouped as cards are.

    This decides whether a text is refused. What is masked is more: see ``scanner``.
    """
    return [
        match.group()
        for match in _CANDIDATE.finditer(text)
        if luhn_valid(match.group().replace(" ", "").replace("-", ""))
    ]
