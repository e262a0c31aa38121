"""Finds card numbers in a text, however they are written. Acceptance and masking both ask this scanner, and no other.

    text ─▶ fold (NFKC, digits of any script) ─▶ runs of digits ─▶ windows ─▶ issuer, length, check digit
              └─▶ unescape (%34, \\u0034, &#52;), up to three levels ─▶ the same
              └─▶ base64 and base32 that hold text, up to three levels ─▶ the same

A *run* is digits with at most MAX_SEPARATORS separators between neighbours. A run in which any 13 to 19 neighbouring
digits are a card number (issuer's range, its length, Luhn's check digit) is found as a whole, because what stands
beside a card number is its expiry date or security code. Track data (ISO/IEC 7813) and security codes that are called
so are found too.

Identifiers that hold digits by chance are left out: card tokens and hashes (32, 40 or 64 hexadecimal digits with at
least one letter) and UUIDs. The time is proportional to the length of the text.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from cardwatch_card_numbers.check_digits import MAX_DIGITS, MIN_DIGITS, LuhnSums, luhn_valid
from cardwatch_card_numbers.encodings import encoded_parts, may_hold_encoded_text
from cardwatch_card_numbers.folding import FoldedText, fold, unescape
from cardwatch_card_numbers.issuers import LENGTHS_BY_PREFIX, PREFIX_DIGITS, WHOLE_NUMBER_LENGTHS

SEPARATORS: Final = r"\x00\t\n\x0b\x0c\r \-./\\_+"
MAX_SEPARATORS: Final = 8
"""Between two digits of one number: UTF-32 with a space between groups has seven."""
MAX_LEVELS: Final = 3
"""Levels of escapes, base64 and base32 together that are looked into."""

HEX_IDENTIFIER: Final = (
    r"(?<![0-9A-Za-z])(?=[0-9]{0,63}[A-Fa-f])(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}|[0-9A-F]{64}|[0-9A-F]{40}|[0-9A-F]{32})"
    r"(?![0-9A-Za-z])"
)
"""A card token, a hash, or another identifier of 128, 160 or 256 bits."""
_UUID: Final = (
    r"(?<![0-9A-Za-z])(?=[0-9-]{0,35}[A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])"
)

_RUN: Final = re.compile(rf"[0-9](?:[{SEPARATORS}]{{0,{MAX_SEPARATORS}}}[0-9]){{{MIN_DIGITS - 1},}}")
_EXEMPT: Final = re.compile(f"{HEX_IDENTIFIER}|{_UUID}")
_NOT_DIGIT: Final = re.compile(r"[^0-9]+")
# Groups as cards carry them, with other characters between them than those of a run: 4111,1111,1111:1111. And single
# digits with one and the same between them: 4,1,1,1 and so on.
_MARKS_BETWEEN: Final = r"[^0-9A-Za-z*\x00-\x1f]{1,3}"
_GROUPS: Final = re.compile(
    rf"(?<![0-9])(?:[0-9]{{4}}{_MARKS_BETWEEN}(?:[0-9]{{4}}{_MARKS_BETWEEN}[0-9]{{4}}{_MARKS_BETWEEN}[0-9]{{1,4}}"
    rf"(?:{_MARKS_BETWEEN}[0-9]{{1,3}})?|[0-9]{{6}}{_MARKS_BETWEEN}[0-9]{{4,5}})"
    rf"|[0-9](?P<each>{_MARKS_BETWEEN})(?:[0-9](?P=each)){{{MIN_DIGITS - 2},{MAX_DIGITS - 2}}}[0-9])(?![0-9])"
)
_TRACK_1: Final = re.compile(r"%?[A-Za-z][0-9][0-9 ]{11,22}\^[^^?*\x00-\x1f]{0,40}\^[^?*\x00-\x1f\"]{4,60}\??")
_TRACK_2: Final = re.compile(r";?[0-9]{13,19}[=D][0-9]{2}(?:0[1-9]|1[0-2])[0-9]{3,40}\??")
_HEX_DIGITS: Final = re.compile(r"(?:3[0-9]){13,}")
_SECURITY_CODE: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:(?:cvv|cvc|csc|cvn|cav|cvd|ccv)2?|cv2|(?:security|verification|validation)[ _]?(?:code|value))"
    r"(?:[^0-9A-Za-z*]|is|no|code|number){1,8}([0-9]{3,4})(?![0-9])",
    re.IGNORECASE,
)
# The outline of a text shows at once that most texts meet no necessary condition of any pattern: digits are 0, marks
# are left out, and capitals are small letters.
_MARKS: Final = bytes(code for code in range(32, 127) if not chr(code).isalnum() and chr(code) != "*")
_OUTLINE: Final = bytes.maketrans(
    b"123456789" + b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"0" * 9 + b"abcdefghijklmnopqrstuvwxyz"
)
_LEFT_OUT: Final = _MARKS + b"\x00\t\n\x0b\x0c\r"
_ENOUGH_DIGITS: Final = b"0" * MIN_DIGITS


class Finding(NamedTuple):
    """A part of a text that must not be kept.

    Attributes:
        start: where it begins.
        end: where it ends.
        whole: whether all of it is masked, or only its digits.
    """

    start: int
    end: int
    whole: bool


def holds_card_number(text: str) -> bool:
    """Whether masking the text would change it: then it is refused where no card number may be."""
    return may_hold_card_number(text) and next(_findings(text, 0), None) is not None


def find_card_numbers(text: str) -> list[str]:
    """The parts of a text that are card numbers with what stands beside them, track data, or security codes."""
    return [text[finding.start : finding.end] for finding in scan(text)]


def scan(text: str) -> list[Finding]:
    """What in a text must not be kept, in the order of the text; only findings of different kinds overlap."""
    merged: list[Finding] = []
    for finding in sorted(_findings(text, 0)):
        if merged and finding.start < merged[-1].end and finding.whole is merged[-1].whole:
            finding = Finding(merged[-1].start, max(finding.end, merged.pop().end), finding.whole)
        merged.append(finding)
    return merged


def may_hold_card_number(text: str) -> bool:
    """False for most texts without a finding, at hardly any cost."""
    if not text.isascii():
        return True
    characters = text.encode("ascii")
    outline = characters.translate(_OUTLINE, _LEFT_OUT)
    return (
        _ENOUGH_DIGITS in outline
        or may_hold_encoded_text(characters)
        or _may_name_code(outline)
        or _may_have_escapes(characters)
    )


def _may_name_code(outline: bytes) -> bool:
    return (
        b"cv" in outline
        or b"csc" in outline
        or b"cav" in outline
        or b"secur" in outline
        or b"ver" in outline
        or b"va" in outline
    )


def _may_have_escapes(characters: bytes) -> bool:
    return b"%" in characters or b"\\" in characters or b"&" in characters


def _findings(text: str, level: int) -> Iterator[Finding]:
    folded: FoldedText | None = fold(text)
    while folded is not None:
        characters = folded.text.encode("ascii", "replace")
        for finding in _in_folded(folded.text, characters, level):
            (start, end) = folded.original_span(finding.start, finding.end)
            # What is written with escapes is masked with all their characters.
            yield Finding(start, end, finding.whole or end - start > finding.end - finding.start)
        is_escaped = level < MAX_LEVELS and _may_have_escapes(characters)
        folded = unescape(folded) if is_escaped else None
        level += 1


def _in_folded(text: str, characters: bytes, level: int) -> Iterator[Finding]:
    outline = characters.translate(_OUTLINE, _LEFT_OUT)
    if _ENOUGH_DIGITS in outline:
        unmarked = _EXEMPT.sub(lambda identifier: "x" * len(identifier.group()), text)
        yield from _numbers(unmarked)
        yield from _grouped_numbers(unmarked)
    if _may_name_code(outline):
        for match in _SECURITY_CODE.finditer(text):
            yield Finding(*match.span(1), True)
    if level < MAX_LEVELS and may_hold_encoded_text(characters):
        for start, end, content in encoded_parts(text):
            if next(_findings(content, level + 1), None) is not None:
                yield Finding(start, end, True)


def _numbers(text: str) -> Iterator[Finding]:
    for run in _RUN.finditer(text):
        if _holds_number(run.group()):
            yield Finding(*run.span(), False)
    for track in (_TRACK_1, _TRACK_2):
        for match in track.finditer(text):
            yield Finding(*match.span(), True)


def is_number_as_a_whole(digits: str) -> bool:
    """Whether all of some ASCII digits together are a card number."""
    if not luhn_valid(digits):
        return False
    return len(digits) in (*LENGTHS_BY_PREFIX.get(digits[:PREFIX_DIGITS], ()), WHOLE_NUMBER_LENGTHS.get(digits[0]))


def begins_or_ends_with_number(digits: str) -> bool:
    """Whether the first or the last 13 to 19 of some ASCII digits are a card number, or all of them its ASCII codes."""
    at_ends = any(start == 0 or end == len(digits) for start, end in _number_windows(digits))
    return at_ends or _holds_hex_number(digits)


def _number_windows(digits: str) -> Iterator[tuple[int, int]]:
    sums = LuhnSums(digits)
    count = len(digits)
    for start in range(count - MIN_DIGITS + 1):
        for length in LENGTHS_BY_PREFIX.get(digits[start : start + PREFIX_DIGITS], ()):
            if start + length <= count and sums.valid(start, start + length):
                yield start, start + length


def _holds_number(run: str) -> bool:
    digits = run if run.isdigit() else _NOT_DIGIT.sub("", run)
    return next(_number_windows(digits), None) is not None or _holds_whole_number(run) or _holds_hex_number(digits)


def _holds_whole_number(run: str) -> bool:
    """Whether some neighbouring groups of digits are a number of a length that counts only if no digit touches it."""
    groups = _NOT_DIGIT.split(run)
    for first, group in enumerate(groups):
        length = WHOLE_NUMBER_LENGTHS.get(group[0])
        number = ""
        for other in groups[first : first + MAX_DIGITS] if length else ():
            number += other
            if len(number) >= (length or 0):
                break
        if len(number) == length and luhn_valid(number):
            return True
    return False


def _holds_hex_number(digits: str) -> bool:
    """Whether they are the ASCII codes of a card number's digits in hexadecimal."""
    return any(_holds_number(match.group()[1::2]) for match in _HEX_DIGITS.finditer(digits))


def _grouped_numbers(text: str) -> Iterator[Finding]:
    for match in _GROUPS.finditer(text):
        digits = _NOT_DIGIT.sub("", match.group())
        if _holds_number(digits):
            yield Finding(*match.span(), False)
