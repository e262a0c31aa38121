"""Finds the digits of a text that may be a card number, in three degrees of suspicion.

A *group* is digits in a row; a *run* is groups with separators between them.

    find_standalone   neighbouring groups, a single space or hyphen between them, that together are 13 to 19 Luhn-valid
                      digits, and no letter beside them. For text whose structure is known.
    find_embedded     the same, with any characters beside them. For text in JSON, where ``\\n`` may precede a number.
    find_anywhere     13 to 19 Luhn-valid digits in a run, wherever in it they begin and end, and whatever separators
                      are between them (UTF-16's zero bytes too). For undecodable messages, where a false match does
                      little harm.

Each finds everything that the previous one finds, except that find_anywhere skips card tokens (32 hexadecimal
digits). All take time in proportion to the length of the text.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable
from itertools import accumulate, islice
from typing import Final

from cardwatch_card_numbers.detection import MAX_DIGITS, MIN_DIGITS, luhn_valid

Span = tuple[int, int]
"""Start and end of a part of a text, as ``re.Match.span()`` gives them."""

SEPARATORS: Final = r"\x00 \-./_"
MAX_SEPARATORS: Final = 3
TOKEN_PATTERN: Final = r"(?<![0-9a-f])(?=[0-9]*[a-f])[0-9a-f]{32}(?![0-9a-f])"  # noqa: S105 - a card token, no secret
"""A card token, or another id of 32 hexadecimal digits: it may contain a run of decimal digits by chance."""

_GROUPED_RUN: Final = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_GROUP: Final = re.compile(r"[0-9]+")
_DIGIT: Final = re.compile(r"[0-9]")
_RUN: Final = re.compile(rf"[0-9](?:[{SEPARATORS}]{{0,{MAX_SEPARATORS}}}[0-9]){{{MIN_DIGITS - 1},}}")
_TOKEN: Final = re.compile(TOKEN_PATTERN)

# Longer runs count as card numbers as a whole: no field has so many digits.
_MAX_RUN_DIGITS: Final = 256


def find_standalone(text: str) -> list[Span]:
    """The spans of numbers that no letter or digit touches."""
    return [
        (start, end)
        for start, end in find_embedded(text)
        if not (_is_alphanumeric(text[start - 1 : start]) or _is_alphanumeric(text[end : end + 1]))
    ]


def find_embedded(text: str) -> list[Span]:
    """The spans of whole digit groups that make up a number, with any characters beside them."""
    return [
        span
        for run in _GROUPED_RUN.finditer(text)
        if run.end() - run.start() >= MIN_DIGITS
        for span in _in_groups(text, *run.span())
    ]


def _in_groups(text: str, run_start: int, run_end: int) -> list[Span]:
    if run_end - run_start <= MAX_DIGITS and text[run_start:run_end].isdigit():  # nearly always
        return [(run_start, run_end)] if luhn_valid(text[run_start:run_end]) else []
    groups = [match.span() for match in _GROUP.finditer(text, run_start, run_end)]
    sums = LuhnSums("".join(text[start:end] for start, end in groups))
    # How many digits of the run stand before each group.
    before = [0, *accumulate(end - start for start, end in groups)]
    found = []
    for first, (start, _) in enumerate(groups):
        begin, nearest = before[first], first + 1
        furthest = min(first + MAX_DIGITS, len(groups)) + 1
        shortest = bisect_left(before, begin + MIN_DIGITS, nearest, furthest)
        longest = bisect_right(before, begin + MAX_DIGITS, shortest, furthest)
        for behind in range(shortest, longest):
            if sums.valid(begin, before[behind]):
                found.append((start, groups[behind - 1][1]))
    return found


def numbers_at(text: str, spans: Iterable[Span]) -> set[str]:
    """The numbers of these spans, as they are written."""
    return {text[start:end] for start, end in spans}


def find_written(text: str, numbers: Collection[str]) -> list[Span]:
    """The spans of these numbers, written exactly like this, with any characters beside them."""
    lengths = {len(number) for number in numbers}
    return [
        (start, start + length)
        for run in (_GROUPED_RUN.finditer(text) if numbers else ())
        for start in range(run.start(), run.end() - MIN_DIGITS + 1)
        for length in lengths
        if text[start : start + length] in numbers
    ]


def _is_alphanumeric(char: str) -> bool:
    return char.isascii() and char.isalnum()


def find_anywhere(text: str) -> list[Span]:
    """The spans of any digits that may be a number, with any characters beside them and up to three between them."""
    if _RUN.search(text) is None:
        return []
    text = _TOKEN.sub(lambda token: "x" * len(token.group()), text)
    return [span for run in _RUN.finditer(text) for span in _in_run(text, run)]


def _in_run(text: str, run: re.Match[str]) -> list[Span]:
    digits = islice(_DIGIT.finditer(text, *run.span()), _MAX_RUN_DIGITS + 1)
    places = [match.start() for match in digits]
    if len(places) > _MAX_RUN_DIGITS:
        return [run.span()]
    sums = LuhnSums("".join(text[place] for place in places))
    return [
        (places[start], places[end - 1] + 1)
        for end in range(MIN_DIGITS, len(places) + 1)
        for start in range(max(0, end - MAX_DIGITS), end - MIN_DIGITS + 1)
        if sums.valid(start, end)
    ]


class LuhnSums:
    """Luhn sums of digits, by which any part of them is checked in one subtraction."""

    def __init__(self, digits: str) -> None:
        plain = [ord(digit) - 48 for digit in digits]
        doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in plain]
        # Of the digits before each place, those at even places doubled; the same for odd places.
        self._sums: Final = tuple(
            [0, *accumulate(doubled[at] if at % 2 == parity else plain[at] for at in range(len(plain)))]
            for parity in (0, 1)
        )

    def valid(self, start: int, end: int) -> bool:
        """Whether the digits from ``start`` to before ``end`` end in the right check digit."""
        # The last digit is not doubled, the one before it is: those whose place has the parity of ``end``.
        sums = self._sums[end % 2]
        return (sums[end] - sums[start]) % 10 == 0
