"""What a dead letter keeps of a refused JSON message: its card number as a token, all others masked."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from cardwatch_card_numbers.masking import CARD_NUMBER_FIELD, mask_json
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.wire import Record

from cardwatch_enricher.decode_json import MalformedJsonError, parse

_DIGIT: Final = re.compile(r"[0-9]")


def redact_json(value: bytes, known_fields: frozenset[str], tokenise: Callable[[Any], Record]) -> bytes:
    """A JSON message without card numbers; the same bytes where it holds none.

    A valid ``card_number`` becomes the fields that stand for it, so that the dead letter can be sent again once what
    was wrong with it is corrected.
    """
    try:
        document = parse(value)
    except MalformedJsonError:
        return mask_json(value, known_fields)
    if isinstance(document, dict) and CARD_NUMBER_FIELD in document:
        document = _tokenised(document, tokenise)
        value = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return mask_json(value, known_fields)


def _tokenised(document: dict[str, Any], tokenise: Callable[[Any], Record]) -> dict[str, Any]:
    tokenised: dict[str, Any] = {}
    for name, value in document.items():
        tokenised.update(_token_fields(value, tokenise) if name == CARD_NUMBER_FIELD else {name: value})
    return tokenised


def _token_fields(card_number: Any, tokenise: Callable[[Any], Record]) -> Record:
    try:
        return tokenise(card_number)
    except RefusedError:
        text = card_number if isinstance(card_number, str) else json.dumps(card_number)
        return {CARD_NUMBER_FIELD: _DIGIT.sub("*", text)}
