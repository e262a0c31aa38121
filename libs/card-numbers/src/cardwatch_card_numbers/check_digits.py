"""The check digit of card numbers, by the Luhn algorithm (ISO/IEC 7812-1, annex B)."""

from itertools import accumulate
from typing import Final

MIN_DIGITS: Final = 13
MAX_DIGITS: Final = 19

_VALUES: Final = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))


def luhn_valid(digits: str) -> bool:
    """Whether 13 to 19 ASCII digits end in the right check digit."""
    if not (MIN_DIGITS <= len(digits) <= MAX_DIGITS and digits.isascii() and digits.isdigit()):
        return False
    return LuhnSums(digits).valid(0, len(digits))


class LuhnSums:
    """Luhn sums of ASCII digits, by which any part of them is checked in one subtraction."""

    def __init__(self, digits: str) -> None:
        text = digits.encode("ascii")
        (at_even, at_odd), doubled = (bytearray(text.translate(_VALUES)) for _ in range(2)), text.translate(_DOUBLED)
        at_even[0::2] = doubled[0::2]
        at_odd[1::2] = doubled[1::2]
        # Of the digits before each place, those at even places doubled; the same for odd places.
        self._sums: Final = (list(accumulate(at_even, initial=0)), list(accumulate(at_odd, initial=0)))

    def valid(self, start: int, end: int) -> bool:
        """Whether the digits from ``start`` to before ``end`` end in the right check digit."""
        # The last digit is not doubled, the one before it is: those whose place has the parity of ``end``.
        sums = self._sums[end % 2]
        return (sums[end] - sums[start]) % 10 == 0
