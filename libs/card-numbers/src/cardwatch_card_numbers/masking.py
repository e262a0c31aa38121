"""Masking: what ``scanner`` finds becomes ``*``, so that nothing that is kept holds a card number.

Bytes that are not JSON keep their length, which keeps Avro decodable. JSON stays JSON, and its length may change: a
masked number becomes a string, and the value of a field that is named like a security code, a PIN or track data is
dropped (``"cvv": "****"``). Masking is idempotent.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from cardwatch_card_numbers.check_digits import luhn_valid
from cardwatch_card_numbers.exemptions import EXEMPT_VALUES, NO_FIELDS
from cardwatch_card_numbers.json_documents import MalformedJsonError, parse_json
from cardwatch_card_numbers.json_masking import JsonMasker
from cardwatch_card_numbers.scanner import MAX_SEPARATORS, SEPARATORS, Finding, may_hold_card_number, scan
from cardwatch_card_numbers.sensitive_names import HIDDEN_VALUE, is_card_number_name, is_sensitive_name
from cardwatch_card_numbers.tokens import only_digits
from cardwatch_card_numbers.wide_text import decode_wide

CARD_NUMBER_FIELD: Final = "card_number"
"""The JSON field in which producers without tokens send a card number."""

_MAX_PASSES: Final = 4
# A member of JSON that is not well-formed: a name, and its value up to where it may end.
_MEMBER: Final = re.compile(r'"([^"\\\n]{1,200})"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*"?|[^,}\]"]*)', re.DOTALL)
_MASKABLE: Final = re.compile(r'[^\s"\[\]{}:,]')
_JSON_START: Final = re.compile(r'[ \t\n\r]*[{\["]')

_MaskCharacter = Callable[[str], str]


def mask_text(text: str) -> str:
    """A text in which nothing is left that the scanner finds; its length stays."""
    return _mask_found(text, lambda char: "*")


def mask_text_in_place(text: str) -> str:
    """As ``mask_text``, such that the length of the text in UTF-8 stays."""
    return _mask_found(text, _mask_at_same_size)


def mask_characters(text: str, *, digits_only: bool = False) -> str:
    """A text with all characters masked, or all digits; its length in UTF-8 stays."""
    return "".join(_mask_at_same_size(char) if char.isnumeric() or not digits_only else char for char in text)


def mask_bytes(value: bytes, card_number: str | None = None, exempt_fields: frozenset[str] = NO_FIELDS) -> bytes:
    """A value, key or header with what the scanner finds masked; the same bytes where there is nothing.

    JSON stays JSON; its length may change. Everything else keeps its length, bytes that are not text included. What
    looks like UTF-16 or UTF-32 is masked as the text that it is, and then as any bytes.

    Args:
        card_number: digits that are masked too, because the message calls them a card number: some are in no issuer's
            range. Where none is given, the one of a JSON object's own field ``card_number``.
        exempt_fields: as for ``is_exempt``: fields of JSON.
    """
    if (wide := decode_wide(value)) is not None:
        value = wide.with_text(_mask_content(wide.text, card_number, exempt_fields, wide.mask_character))
    text = value.decode("utf-8", "surrogateescape")
    masked = _mask_content(text, card_number, exempt_fields, _mask_at_same_size)
    return value if masked == text else masked.encode("utf-8", "surrogateescape")


def _mask_content(
    text: str, card_number: str | None, exempt_fields: frozenset[str], mask_character: _MaskCharacter
) -> str:
    card_number = _own_card_number(text) if card_number is None else card_number
    known = None if card_number is None else digits_pattern(card_number)

    def mask_known(part: str) -> str:
        if known is None:
            return part
        return known.sub(lambda match: mask_characters(match.group(), digits_only=True), part)

    def mask(part: str) -> str:
        return mask_known(mask_text(part))

    masked = JsonMasker(text, mask, mask_known, exempt_fields)() if _JSON_START.match(text) else None
    return _mask_unstructured(text, mask_character) if masked is None else masked


def _own_card_number(text: str) -> str | None:
    """What a JSON object calls its card number, if it is one; it is searched for in fields that are exempt too."""
    if CARD_NUMBER_FIELD not in text and "\\u" not in text:
        return None
    try:
        document = parse_json(text)
    except MalformedJsonError:
        return None
    if not isinstance(document, dict):
        return None
    digits = only_digits(str(document.get(CARD_NUMBER_FIELD, "")))
    return digits if luhn_valid(digits) else None


def digits_pattern(digits: str) -> re.Pattern[str]:
    """Matches these digits with or without separators between them."""
    return re.compile(rf"[{SEPARATORS}]{{0,{MAX_SEPARATORS}}}".join(digits))


def mask_header(name: str, value: bytes | None) -> tuple[str, bytes | None]:
    """A message header without card numbers; the value of one that is named like a security code is dropped."""
    if value and is_sensitive_name(name):
        return mask_text_in_place(name), HIDDEN_VALUE.encode()
    return mask_text_in_place(name), None if value is None else mask_bytes(value)


def _mask_unstructured(text: str, mask_character: _MaskCharacter) -> str:
    """Masks text of any form."""

    def mask_member(member: re.Match[str]) -> str:
        (name, value) = member.groups()
        before = member.group()[: member.start(2) - member.start()]
        if is_sensitive_name(name):
            return before + _MASKABLE.sub(lambda char: mask_character(char.group()), value)
        if is_card_number_name(name):
            return before + "".join(mask_character(char) if char.isnumeric() else char for char in value)
        return member.group()

    masked = _MEMBER.sub(mask_member, text) if '"' in text else text
    return _mask_found(masked, mask_character)


def _mask_found(text: str, mask_character: _MaskCharacter) -> str:
    # Masking one number can expose another, so scan again. Once is nearly always enough.
    for _ in range(_MAX_PASSES if may_hold_card_number(text) else 0):
        findings = scan(_without_exempt_members(text))
        if not findings:
            break
        text = _mask_findings(text, findings, mask_character)
    return text


def _without_exempt_members(text: str) -> str:
    return _EXEMPT_MEMBER.sub(lambda member: "x" * len(member.group()), text) if '"' in text else text


_EXEMPT_MEMBER: Final = re.compile(
    "|".join(rf'"{name}"\s*:\s*"?{value.pattern}(?![0-9a-f.])' for name, value in EXEMPT_VALUES.items())
)


def _mask_findings(text: str, findings: Sequence[Finding], mask_character: _MaskCharacter) -> str:
    parts, position = [], 0
    for finding in findings:
        start = max(finding.start, position)
        if finding.end > start:
            found = text[start : finding.end]
            masked = (mask_character(char) if finding.whole or char.isnumeric() else char for char in found)
            parts += [text[position:start], *masked]
            position = finding.end
    return "".join(parts) + text[position:]


def _mask_at_same_size(char: str) -> str:
    return "*" * len(char.encode("utf-8", "surrogateescape"))
