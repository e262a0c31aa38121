"""Which bytes in Avro may be an integer that is a card number, without a schema: a regular expression.

Avro writes an integer as a *varint*: seven bits per byte, the lowest first, all bytes but the last with the highest bit
set; its sign is the lowest bit (Apache Avro 1.11 specification, "Binary encoding"). So the number of bytes and the last
byte say what an integer begins with, and the times of our transactions and most coordinates begin like no card number.
"""

from collections.abc import Iterator
from typing import Final

from cardwatch_card_numbers.issuers import LENGTHS_BY_PREFIX, WHOLE_NUMBER_LENGTHS

_BITS: Final = 7
_MAX_LONG: Final = 2**63 - 1
# Of 17 digits and more, any may hold a card number and its security code.
_ANY_FROM: Final = 10**16


def _number_ranges() -> Iterator[tuple[int, int]]:
    lengths = [(prefix, length) for prefix, all_of_it in LENGTHS_BY_PREFIX.items() for length in all_of_it]
    for prefix, length in [*lengths, *WHOLE_NUMBER_LENGTHS.items()]:
        unit = 10 ** (length - len(prefix))
        yield int(prefix) * unit, (int(prefix) + 1) * unit - 1
    yield _ANY_FROM, _MAX_LONG


def _last_bytes() -> dict[int, set[int]]:
    """By the number of bytes before it, the last bytes of integers that may be card numbers."""
    found: dict[int, set[int]] = {}
    for first, last in _number_ranges():
        (low, high) = (2 * first - 1, 2 * min(last, _MAX_LONG) + 1)
        for before in range((low.bit_length() - 1) // _BITS, (high.bit_length() - 1) // _BITS + 1):
            shift = _BITS * before
            beginnings = range(max(low >> shift, 1), min(high >> shift, 0x7F) + 1)
            found.setdefault(before, set()).update(beginnings)
    return found


def _pattern() -> str:
    alternatives = []
    for before, last_bytes in sorted(_last_bytes().items()):
        characters = "".join(rf"\x{last:02x}" for last in sorted(last_bytes))
        alternatives.append(rf"[\x80-\xff]{{{before}}}[{characters}]")
    return f"(?:{'|'.join(alternatives)})"


MAY_BE_CARD_NUMBER: Final = _pattern()
"""Matches bytes, as ISO 8859-1, that may be such an integer; in the syntax of Python and of Java."""
