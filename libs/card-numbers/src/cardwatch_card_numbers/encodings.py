"""Finds text in base64 and base32 (RFC 4648), on one line or on several, and says what it decodes to.

What is decoded is told by the characters: bits that are the same in all bytes of a kind are the same in the code. Three
bytes of digits and separators in a row, four times, are looked for in base64, so that a number is found between any
other bytes; and printable ASCII text, such as base64 once more, or hexadecimal digits, in both codes.
"""

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from math import lcm
from typing import Final, NamedTuple

from cardwatch_card_numbers.folding import FoldedText, remove

_BASE64_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE32_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
# Digits and what separates them; and printable ASCII.
_DIGITS: Final = range(0x20, 0x40)
_PRINTABLE: Final = range(0x20, 0x7F)
_URL_SAFE: Final = str.maketrans("-_", "+/")

# Nothing that is taken is given back, so that the time is proportional to the length.
LINE_BREAK: Final = r"[ \t]*+(?>(?:(?:[\r\n]|\\{1,4}+[rn])[ \t]*+)+)"
"""Where encoded text continues on the next line; also as JSON writes it, and JSON in JSON."""
_WRAP: Final = re.compile(rf"(?<=[A-Za-z0-9+/_-]){LINE_BREAK}")


def _symbols(alphabet: str, values: Iterable[int]) -> list[str]:
    """Of each symbol that the shortest group of whole bytes with these values is encoded as: those it can be.

    Symbols of base64 are six bits of three bytes, those of base32 five bits of five.
    """
    width = len(alphabet).bit_length() - 1
    found: list[set[str]] = [set() for _ in range(lcm(width, 8) // width)]
    for high in values:
        for low in values:
            pair = high << 8 | low
            for at, symbols in enumerate(found):
                begin = width * at
                # Of the byte in which the symbol begins, and the one behind it.
                symbols.add(alphabet[pair >> 16 - width - begin % 8 & (1 << width) - 1])
    return ["".join(sorted(symbols)) for symbols in found]


class _Code(NamedTuple):
    """One of the two codes.

    Attributes:
        token: the longest neighbouring characters of the code.
        group: how many characters stand for whole bytes.
        patterns: what has to be in a token for it to be decoded, with the characters of its first group.
    """

    token: "re.Pattern[str]"
    group: int
    patterns: "tuple[re.Pattern[str], ...]"
    decode: Callable[[str], bytes]


def _group(alphabet: str, values: Iterable[int], times: int, between: str) -> str:
    classes = []
    for symbols in _symbols(alphabet, values):
        also = symbols.lower() if alphabet == _BASE32_ALPHABET else symbols.translate(str.maketrans("+/", "-_"))
        classes.append(f"[{re.escape(''.join(sorted({*symbols, *also})))}]{between}")
    return f"(?:{''.join(classes)}){{{times}}}"


def encoded_text_pattern(between: str = "") -> str:
    """A regular expression, of Python and of Java, that finds all texts that ``encoded_parts`` decodes, and few others.

    Args:
        between: matches what may stand between two characters.
    """
    return "|".join((
        _group(_BASE64_ALPHABET, _DIGITS, 3, between),
        _group(_BASE64_ALPHABET, _PRINTABLE, 6, between),
        _group(_BASE32_ALPHABET, _PRINTABLE, 2, between),
    ))  # fmt: skip


def _from_base64(characters: str) -> bytes:
    characters = characters[: len(characters) - (len(characters) % 4 == 1)].translate(_URL_SAFE)
    return base64.b64decode(characters + "=" * (-len(characters) % 4))


def _from_base32(characters: str) -> bytes:
    surplus = {1: 1, 3: 1, 6: 1}.get(len(characters) % 8, 0)
    characters = characters[: len(characters) - surplus].upper()
    return base64.b32decode(characters + "=" * (-len(characters) % 8))


_CODES: Final = (
    _Code(
        re.compile(r"[A-Za-z0-9+/_-]{18,}={0,2}"),
        4,
        (
            re.compile(_group(_BASE64_ALPHABET, _DIGITS, 3, "")),
            re.compile(_group(_BASE64_ALPHABET, _PRINTABLE, 6, "")),
        ),
        _from_base64,
    ),
    _Code(
        re.compile(r"[A-Za-z2-7]{21,}={0,6}"),
        8,
        (re.compile(_group(_BASE32_ALPHABET, _PRINTABLE, 2, "")),),
        _from_base32,
    ),
)

_SHORTEST: Final = 18  # 13 digits in base64
_CHARACTERS: Final = (_BASE64_ALPHABET + "-_").encode()
_ONLY_CHARACTERS: Final = bytes(code if code in _CHARACTERS else ord(" ") for code in range(256))
_LINE_BREAKS: Final = b" \t\r\n\\"
_SMALL_BASE32: Final = re.compile(rb"[a-z2-7]{21}")


def may_hold_encoded_text(characters: bytes) -> bool:
    """False for most texts without an encoded part, at hardly any cost. ``characters``: as ASCII, others replaced."""
    if len(characters) < _SHORTEST:
        return False
    if b"\n" in characters or b"\r" in characters or b"\\" in characters:
        unwrapped = characters.replace(b"\\n", b"").replace(b"\\r", b"").translate(_ONLY_CHARACTERS, _LINE_BREAKS)
        return _has_encoded_word(unwrapped) or _has_encoded_word(characters.translate(_ONLY_CHARACTERS))
    return _has_encoded_word(characters.translate(_ONLY_CHARACTERS))


def _has_encoded_word(words: bytes) -> bool:
    # Identifiers in small hexadecimal digits are the most frequent long words. In base64 of printable text there is a
    # capital, unless it has no character before `h`.
    return any(
        len(word) >= _SHORTEST and (not word.islower() or _SMALL_BASE32.search(word) is not None)
        for word in words.split()
    )


def encoded_parts(text: str) -> Iterator[tuple[int, int, str]]:
    """Parts of a text that are encoded text: start, end, and what they decode to, UTF-8 or any bytes."""
    unwrapped = remove(_WRAP, text)
    for reading in (FoldedText(text), unwrapped) if unwrapped is not None else (FoldedText(text),):
        for code in _CODES:
            for start, end, content in _parts(code, reading.text):
                yield *reading.original_span(start, end), content


def _parts(code: _Code, text: str) -> Iterator[tuple[int, int, str]]:
    for token in code.token.finditer(text):
        # Groups are counted from what was found: the text may be glued to something.
        offsets = {
            (match.start() - token.start()) % code.group
            for pattern in code.patterns
            for match in pattern.finditer(text, *token.span())
        }
        for offset in sorted(offsets):
            characters = text[token.start() + offset : token.end()].rstrip("=")
            yield *token.span(), code.decode(characters).decode("utf-8", "surrogateescape")
