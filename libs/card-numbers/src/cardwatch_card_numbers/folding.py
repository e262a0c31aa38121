"""Text as people read it: digits and separators of any script as ASCII, and escapes as the characters they stand for.

Every result maps back to the offsets of the original text.
"""

import html.entities
import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_SURROGATES_OF_LATIN_1: Final = {0xDCA0: " ", 0xDCAD: "-", 0xDC96: "-", 0xDC97: "-"}
_DOTS_AND_SIGNS: Final = {
    **dict.fromkeys("\u00b7\u2022\u2219\u22c5", "."),
    "\u2212": "-",
    **dict.fromkeys("\u2215\u2044", "/"),
}
_IGNORED_CATEGORIES: Final = frozenset({"Cf", "Mn", "Me", "Cc"})
# Letters and signs without a shape, and code points that are reserved for characters without one (Unicode's property
# Default_Ignorable_Code_Point).
_INVISIBLE: Final = frozenset(
    map(chr, (0x115F, 0x1160, 0x2065, 0x2800, 0x3164, 0xFFA0, *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)))
)
_SPACE_CATEGORIES: Final = frozenset({"Zs", "Zl", "Zp"})
_MAX_CACHED_CHARACTERS: Final = 20_000

# What stands for another character: percent-encoding (RFC 3986), JSON's and HTML's escapes. HTML allows zeros before a
# number and no semicolon behind it, and has names.
_ESCAPE: Final = re.compile(
    r"((?:%[0-9A-Fa-f]{2})+)|\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|u\{0{0,8}([0-9A-Fa-f]{1,6})\})"
    r"|&#(?:0{0,64}([0-9]{1,6})|[xX]0{0,64}([0-9A-Fa-f]{1,5}));?|&([A-Za-z]{2,12};)"
)


@dataclass(frozen=True, slots=True)
class FoldedText:
    """A text of which each character stands for a part of an original text.

    Attributes:
        text: the folded text.
        starts: where the original part of each character begins; None where offsets are the same.
        ends: where it ends.
    """

    text: str
    starts: list[int] | None = None
    ends: list[int] | None = None

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The part of the original text that these characters, at least one, stand for."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


class _CharacterTable(dict[int, str]):
    """For ``str.translate``: what a character folds to."""

    def __missing__(self, code: int) -> str:
        folded = _fold_character(chr(code))
        if len(self) < _MAX_CACHED_CHARACTERS:
            self[code] = folded
        return folded


_TABLE: Final = _CharacterTable((code, chr(code)) for code in range(128))


def fold(text: str) -> FoldedText:
    """The text in Unicode's compatibility form (NFKC) as far as digits, separators and ASCII are concerned."""
    if text.isascii():
        return FoldedText(text)
    folded = text.translate(_TABLE)
    if len(folded) == len(text):
        return FoldedText(folded)
    starts = [index for index, char in enumerate(text) for _ in _TABLE[ord(char)]]
    return FoldedText(folded, starts, [start + 1 for start in starts])


def unescape(original: FoldedText) -> FoldedText | None:
    """The text with one level of escapes replaced by what they stand for; None if it has no escape."""
    return _replace(_ESCAPE, _escaped, original)


def remove(pattern: re.Pattern[str], text: str) -> FoldedText | None:
    """The text without what a pattern matches; None if it matches nothing."""
    return _replace(pattern, lambda match: "", FoldedText(text))


def _replace(
    pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str], original: FoldedText
) -> FoldedText | None:
    text = original.text
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    for match in pattern.finditer(text):
        _copy(original, position, match.start(), parts, starts, ends)
        (start, end) = original.original_span(*match.span())
        for char in replacement(match):
            parts.append(char)
            starts.append(start)
            ends.append(end)
        position = match.end()
    if not position:
        return None
    _copy(original, position, len(text), parts, starts, ends)
    return FoldedText("".join(parts), starts, ends)


def _copy(original: FoldedText, start: int, end: int, parts: list[str], starts: list[int], ends: list[int]) -> None:
    parts.append(original.text[start:end])
    if original.starts is None or original.ends is None:
        starts.extend(range(start, end))
        ends.extend(range(start + 1, end + 1))
    else:
        starts.extend(original.starts[start:end])
        ends.extend(original.ends[start:end])


def _escaped(escape: re.Match[str]) -> str:
    (percents, json, hexadecimal, code_point, decimal, hexadecimal_html, name) = escape.groups()
    if percents:
        return bytes.fromhex(percents.replace("%", "")).decode("utf-8", "surrogateescape").translate(_TABLE)
    if name:
        return html.entities.html5.get(name, escape.group()).translate(_TABLE)
    code = int(decimal) if decimal else int(json or hexadecimal or code_point or hexadecimal_html, 16)
    return _TABLE[code] if code <= sys.maxunicode else "?"


def _fold_character(char: str) -> str:
    code, category = ord(char), unicodedata.category(char)
    if code in _SURROGATES_OF_LATIN_1:
        return _SURROGATES_OF_LATIN_1[code]
    value = unicodedata.numeric(char, -1.0)
    if value in range(10):
        return str(int(value))
    if category in _SPACE_CATEGORIES:
        return " "
    if category == "Pd":
        return "-"
    if category in _IGNORED_CATEGORIES or char in _INVISIBLE:
        return "\x00"
    if char in _DOTS_AND_SIGNS:
        return _DOTS_AND_SIGNS[char]
    folded = unicodedata.normalize("NFKC", char)
    return folded if folded.isascii() else char
