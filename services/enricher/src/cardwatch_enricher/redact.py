"""Keeping card numbers out of what is kept: dead letters, their keys and headers, error details.

Two measures are used. *Strict* is the contract's (``find_card_numbers``): Luhn-valid, 13 to 19 digits, standing by
themselves. It decides what is refused, and masks text whose structure is known. *Generous* is for bytes that could not
be decoded: any 13 to 19 digits in a row that are Luhn-valid, whatever stands beside them or, singly, between them.
Masking one number too many there costs nothing but the chance to redrive that letter; ``redacted`` says so.

Masking replaces each digit by ``*``, so that lengths stay right and an Avro frame stays decodable.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from cardwatch_contracts.cards import find_card_numbers, luhn_valid
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.wire import Record

from cardwatch_enricher.decode_json import CARD_NUMBER, MalformedJsonError, parse

_DIGIT: Final = re.compile(r"[0-9]")
_DIGIT_RUN: Final = re.compile(r"[0-9](?:[\x00 \-./_]{0,3}[0-9]){12,}")
# A card token is 32 hexadecimal digits: a stretch of decimal ones inside it is chance.
_TOKEN: Final = re.compile(r"(?<![0-9a-f])(?=[0-9]*[a-f])[0-9a-f]{32}(?![0-9a-f])")
_JSON_DIGIT_ESCAPE: Final = re.compile(r"\\u003([0-9])", re.IGNORECASE)

_SHORTEST: Final = 13
_LONGEST: Final = 19
# Looking at every window of a run takes time in proportion to its length; no field of ours has so many digits.
_LONGEST_RUN: Final = 256

# Numbers of a transaction that may look like a card number by chance, and are none.
_PLAIN_NUMBERS: Final = frozenset({"event_time", "amount_minor"})


def mask_card_numbers(text: str) -> str:
    """Strict: the text with the digits of each card number in it masked."""
    for card_number in find_card_numbers(text):
        text = text.replace(card_number, _DIGIT.sub("*", card_number))
    return text


def mask_generously(text: str) -> str:
    """Generous: the text with whatever could be a card number masked; of the same length."""
    tokens = [match.span() for match in _TOKEN.finditer(text)]
    masked = list(text)
    for run in _DIGIT_RUN.finditer(text):
        places = [
            place
            for place in range(*run.span())
            if text[place].isdigit() and not any(start <= place < end for start, end in tokens)
        ]
        for place in _card_number_places(text, places):
            masked[place] = "*"
    return "".join(masked)


def _card_number_places(text: str, places: list[int]) -> set[int]:
    if len(places) > _LONGEST_RUN:
        return set(places)
    digits = "".join(text[place] for place in places)
    return {
        place
        for start in range(len(digits) - _SHORTEST + 1)
        for end in range(start + _SHORTEST, min(start + _LONGEST, len(digits)) + 1)
        if luhn_valid(digits[start:end])
        for place in places[start:end]
    }


def redact_bytes(value: bytes) -> bytes:
    """Strict, for keys and headers: same length, the digits of card numbers masked."""
    return mask_card_numbers(value.decode("latin-1")).encode("latin-1")


def redact_record(value: bytes, record: Record) -> bytes:
    """Strict: the Avro bytes that ``record`` was decoded from, the card numbers in its strings masked."""
    for text in record.values():
        if isinstance(text, str):
            for card_number in find_card_numbers(text):
                value = value.replace(card_number.encode(), _DIGIT.sub("*", card_number).encode())
    return value


def redact_undecodable(value: bytes) -> bytes:
    """Generous: same length, whatever could be a card number masked."""
    return mask_generously(value.decode("latin-1")).encode("latin-1")


def redact_json(value: bytes, known_fields: frozenset[str], tokenise: Callable[[Any], Record]) -> bytes:
    """A JSON message without card numbers; unchanged where it holds none.

    A valid ``card_number`` becomes the three fields that stand for it, so that the letter can be redriven once what was
    wrong with it is put right. Bytes that are no JSON are masked generously.
    """
    try:
        document = parse(value)
    except MalformedJsonError:
        # Digits may be written as escapes; a parser that is more lenient than ours would read them.
        text = _JSON_DIGIT_ESCAPE.sub(r"\1", value.decode("latin-1"))
        masked = mask_generously(text)
        return value if masked == text else masked.encode("latin-1")
    redacted = _redact_document(document, known_fields, tokenise)
    return value if redacted == document else json.dumps(redacted, ensure_ascii=False).encode("utf-8", "replace")


def _redact_document(document: Any, known_fields: frozenset[str], tokenise: Callable[[Any], Record]) -> Any:
    if not isinstance(document, dict):
        return _redact_value(document)
    redacted: dict[str, Any] = {}
    for name, value in document.items():
        if name == CARD_NUMBER:
            redacted.update(_redact_card_number(value, tokenise))
        elif name in known_fields:
            redacted[name] = value if name in _PLAIN_NUMBERS and isinstance(value, int) else _redact_known(value)
        else:
            redacted[mask_generously(name)] = _redact_value(value)
    return redacted


def _redact_card_number(value: Any, tokenise: Callable[[Any], Record]) -> Record:
    try:
        return tokenise(value)
    except RefusedError:
        pass
    return {CARD_NUMBER: _DIGIT.sub("*", value if isinstance(value, str) else json.dumps(value))}


def _redact_known(value: Any) -> Any:
    return mask_card_numbers(value) if isinstance(value, str) else _redact_value(value)


def _redact_value(value: Any) -> Any:
    if isinstance(value, str):
        return mask_generously(value)
    if isinstance(value, dict):
        return {mask_generously(name): _redact_value(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_redact_value(inner) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        written = json.dumps(value)
        masked = mask_generously(written)
        return value if masked == written else masked
    return value
