"""Masking: digits that may be a card number become ``*``, so that lengths do not change and Avro stays decodable.

The functions of ``scanner`` find these digits. Fields of a transaction whose digits can look like a card number by
chance are left as they are: its time, its coordinates, its tokens.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import Final

from cardwatch_card_numbers.json_documents import MalformedJsonError, parse_json
from cardwatch_card_numbers.scanner import (
    TOKEN_PATTERN,
    Span,
    find_anywhere,
    find_embedded,
    find_standalone,
    find_written,
    numbers_at,
)

CARD_NUMBER_FIELD: Final = "card_number"
"""The JSON field in which producers without tokens send a card number."""

_STARS: Final = str.maketrans(dict.fromkeys("0123456789", "*"))
_JSON_ESCAPE: Final = re.compile(r"\\(?:u00([0-7][0-9a-f])|.)", re.IGNORECASE | re.DOTALL)
_JSON_STRING: Final = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_JSON_TOKEN: Final = re.compile(rf"{_JSON_STRING}|[{{}}\[\],:]", re.DOTALL)
# Masked whole: mistyped, it is still nearly a card number.
_CARD_NUMBER_VALUE: Final = re.compile(rf'"{CARD_NUMBER_FIELD}"\s*:\s*({_JSON_STRING[:-1]}"?|[^,}}\]\s]*)', re.DOTALL)
# Microseconds (milliseconds) since 1970 are 16 (13) digits that begin with 1 until 2033; no card number of that length
# does. A coordinate lies between -180 and 180.
_KEPT_PATTERN: Final = (
    r'"event_time"\s*:\s*1[0-9]{12}(?:[0-9]{3})?(?![0-9.])'
    r'|"(?:latitude|longitude)"\s*:\s*-?(?:1[0-7][0-9]|180|[0-9]{1,2})\.[0-9]+(?![0-9])'
    rf"|{TOKEN_PATTERN}"
)
_KEPT: Final = re.compile(_KEPT_PATTERN)
# In well-formed JSON also the digits of these escape sequences, which do not belong to the text.
_KEPT_IN_JSON: Final = re.compile(rf"{_KEPT_PATTERN}|\\(?:u[0-9A-Fa-f]{{4}}|.)")


def mask_text(text: str) -> str:
    """A text with the digits of card numbers masked that stand by themselves, wherever else they are repeated in it."""
    return _mask_numbers(text, numbers_at(text, find_standalone(text)))


def mask_suspicious_text(text: str) -> str:
    """A text with all digits masked that could be a card number, wherever they stand."""
    return _mask_spans(text, find_anywhere(text))


def mask_bytes(value: bytes) -> bytes:
    """Bytes whose structure is known, such as keys, headers or Avro, with card numbers that stand alone masked."""
    return _in_latin_1(mask_text, value)


def mask_undecodable(value: bytes) -> bytes:
    """Bytes that could not be decoded with all digits masked that could be a card number."""
    return _in_latin_1(mask_suspicious_text, value)


def mask_strings(value: bytes, strings: Iterable[str]) -> bytes:
    """Decoded Avro bytes with the card numbers in the decoded strings masked, and nothing between them."""
    numbers = set[str]().union(*(numbers_at(text, find_standalone(text)) for text in strings))
    return _in_latin_1(lambda text: _mask_numbers(text, numbers), value)


def mask_json(value: bytes, known_fields: frozenset[str] | None = frozenset()) -> bytes:
    """A JSON message with card numbers masked in place; the same bytes where there are none.

    In the text of known fields only whole groups of digits are searched; elsewhere, and in text that is not JSON, any
    digits.
    Where something is masked, characters that were written as escapes (``\\u0034``) are written out.

    Args:
        known_fields: names in the outermost object whose text follows a contract, and may hold long numbers; None for a
            key or a header of a JSON message, whose whole text may.
    """
    is_json = cache(lambda: _is_json(value))
    return _in_latin_1(lambda text: _mask_json_text(text, known_fields, is_json), value)


def _mask_json_text(original: str, known_fields: frozenset[str] | None, is_json: Callable[[], bool]) -> str:
    text = _JSON_ESCAPE.sub(_written_out, original) if "\\" in original else original
    kept_pattern = _KEPT_IN_JSON if "\\" in text and is_json() else _KEPT
    kept = [match.span() for match in kept_pattern.finditer(text)]
    embedded = _embedded_mask(text, kept)
    masked = _mask_between(text, kept, embedded if known_fields is None else mask_suspicious_text)
    if masked != text and known_fields and is_json():
        known = _mask_between(text, kept, embedded)
        for start, end in _values_of(text, known_fields):
            masked = masked[:start] + known[start:end] + masked[end:]
    # Last, for it may find a part of a number only, of which the rest would not be found any more.
    masked = _CARD_NUMBER_VALUE.sub(
        lambda match: match.group()[: match.start(1) - match.start()] + match.group(1).translate(_STARS), masked
    )
    if masked == text:
        return original
    # A zero byte can only be written as an escape in JSON.
    return masked if "\x00" in original else masked.replace("\x00", "\\u0000")


def _embedded_mask(text: str, kept: list[Span]) -> Callable[[str], str]:
    """Masks, in a part of the text, the numbers that whole groups of digits make up anywhere between what is kept."""

    @cache
    def numbers() -> set[str]:
        return {number for part in _between(text, kept) for number in numbers_at(part, find_embedded(part))}

    return lambda part: _mask_numbers(part, numbers())


def _mask_numbers(text: str, numbers: Collection[str]) -> str:
    return _mask_spans(text, find_written(text, numbers))


def _is_json(value: bytes) -> bool:
    """Whether it is one JSON value in UTF-8 that Cardwatch's decoders accept."""
    try:
        parse_json(value.decode("utf-8"))
    except (UnicodeDecodeError, MalformedJsonError):
        return False
    return True


def _between(text: str, kept: list[Span]) -> Iterator[str]:
    """The parts of a text before, between and behind these spans."""
    position = 0
    for start, end in kept:
        yield text[position:start]
        position = end
    yield text[position:]


def _mask_between(text: str, kept: list[Span], mask: Callable[[str], str]) -> str:
    masked = [mask(part) for part in _between(text, kept)]
    return masked[0] + "".join(text[start:end] + part for (start, end), part in zip(kept, masked[1:], strict=True))


def _values_of(text: str, names: frozenset[str]) -> Iterator[Span]:
    """Where in well-formed JSON the texts of these fields of the outermost object are."""
    depth, name, at_name = 0, None, True
    for token in _JSON_TOKEN.finditer(text):
        match token.group():
            case "{" | "[":
                depth += 1
            case "}" | "]":
                depth -= 1
            case "," | ":" as mark:
                at_name = at_name if depth != 1 else mark == ","
            case string if depth == 1 and at_name:
                name = string[1:-1]
            case _ if depth == 1 and name in names:
                yield token.span()


def _written_out(escape: re.Match[str]) -> str:
    """What an escape stands for, if that may be part of a number; other escapes stay."""
    if escape.group() == "\\/":
        return "/"
    char = chr(int(escape[1] or "1f", 16))
    return char if char == "\x00" or (char.isprintable() and char not in '"\\') else escape.group()


def _mask_spans(text: str, spans: list[Span]) -> str:
    if not spans:
        return text
    masked = list(text)
    for start, end in spans:
        masked[start:end] = text[start:end].translate(_STARS)
    return "".join(masked)


def _in_latin_1(mask: Callable[[str], str], value: bytes) -> bytes:
    # Latin-1 gives each byte one character.
    return mask(value.decode("latin-1")).encode("latin-1")
