"""Messages and what masking makes of them."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from cardwatch_card_numbers.testing.disguises import DISGUISES, ENCODED_DISGUISES, HARMLESS, TOKEN
from cardwatch_card_numbers.testing.numbers import CARD_NUMBER

MASKED: Final = "*" * 16


class Structure(StrEnum):
    """What the bytes of a case are."""

    TEXT = "text"
    """A text: of a key, a header, or a field. Its length in bytes stays."""
    JSON = "json"
    """A JSON text, well-formed or not."""
    BINARY = "binary"
    """A message that should be Avro and is not."""


@dataclass(frozen=True)
class MaskingCase:
    """How some bytes are masked; ``masked`` equals ``original`` where nothing in them has to be."""

    structure: Structure
    original: bytes
    masked: bytes

    @property
    def changes(self) -> bool:
        """Whether anything is masked."""
        return self.masked != self.original


def _masked(structure: Structure, texts: Iterable[tuple[str | bytes, str | bytes]]) -> list[MaskingCase]:
    return [MaskingCase(structure, _bytes(original), _bytes(masked)) for original, masked in texts]


def _kept(structure: Structure, *texts: str | bytes) -> list[MaskingCase]:
    return [MaskingCase(structure, _bytes(text), _bytes(text)) for text in texts]


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _digits_masked(text: str) -> str:
    """The text with the UTF-8 of each of its digits, of any script, replaced by mask characters."""
    return "".join("*" * len(char.encode()) if char.isnumeric() else char for char in text)


TEXT_CASES: Final = (
    *_masked(Structure.TEXT, ((text, _digits_masked(text)) for text in DISGUISES.values())),
    *_masked(Structure.TEXT, ((text, "*" * len(text)) for text in ENCODED_DISGUISES.values())),
    *_masked(
        Structure.TEXT,
        [
            (f"x {CARD_NUMBER} y {TOKEN}", f"x {MASKED} y {TOKEN}"),
            (f"{CARD_NUMBER} a{CARD_NUMBER}b", f"{MASKED} a{MASKED}b"),
            ("cvv: 123", "cvv: ***"),
            ("CVC2=1234&x=1", "CVC2=****&x=1"),
            ("ccv 123, CV2: 456", "ccv ***, CV2: ***"),
            ("security code 123.", "security code ***."),
            (f"?pan={quote('4111 1111 1111 1111')}&x=1", f"?pan={'*' * 25}&x=1"),
            (f"Basic {base64.b64encode(b'pan:' + CARD_NUMBER.encode()).decode()}", f"Basic {'*' * 28}"),
        ],
    ),
    *_kept(Structure.TEXT, *HARMLESS),
)

FIELD_CASES: Final = tuple(case for case in TEXT_CASES if case.original != f"{CARD_NUMBER}123".encode())
"""The same for ``transaction_id``, ``merchant_id`` and ``device_id``, where digits by themselves are a card number only
as a whole: of the disguises, a security code glued to the number is missed."""

_DROPPED_FIELDS: Final = (
    "cvv", "CVV2", "cvc", "cid", "csc", "security_code", "cardSecurityCode", "card_cvv", "cvvCode", "track1", "track2",
    "track_2", "trackData", "track_data", "Track2Data", "track2_equivalent_data", "pin", "pin_block", "PINBlock",
    "magstripe", "card_verification_value", "ccv", "CV2", "cc_cid", "cardCode", "cvvcode", "cardcvc", "CvV", "debitPin",
    "\uff43\uff56\uff56", "c\u200bvv",
)  # fmt: skip


def _document(name: str, content: str) -> str:
    return json.dumps({"x": 1, name: content}, ensure_ascii=False)


JSON_CASES: Final = (
    # A character of several bytes is one mask character in JSON.
    *_masked(
        Structure.JSON,
        (
            (_document("note", text), _document("note", "".join("*" if c.isnumeric() else c for c in text)))
            for text in DISGUISES.values()
        ),
    ),
    *_masked(
        Structure.JSON,
        ((_document("note", text), _document("note", "*" * len(text))) for text in ENCODED_DISGUISES.values()),
    ),
    *_kept(Structure.JSON, *(_document("note", text) for text in HARMLESS)),
    *_masked(
        Structure.JSON,
        [
            # A masked number becomes a string, so that JSON stays JSON.
            (f'{{"pan": {CARD_NUMBER}}}', f'{{"pan": "{MASKED}"}}'),
            (f'{{"pan": {CARD_NUMBER}.0}}', f'{{"pan": "{MASKED}.*"}}'),
            ('{"pan": 4.111111111111111e15}', '{"pan": "*.***************e15"}'),
            (
                f'{{"pan": -{CARD_NUMBER}, "x": [1, {{"y": {CARD_NUMBER}}}]}}',
                f'{{"pan": "-{MASKED}", "x": [1, {{"y": "{MASKED}"}}]}}',
            ),
            (f'{{"event_time": {CARD_NUMBER}}}', f'{{"event_time": "{MASKED}"}}'),
            (f'{{"amount_minor": {CARD_NUMBER}}}', f'{{"amount_minor": "{MASKED}"}}'),
            ('{"latitude": 411.1111111111111}', '{"latitude": "***.*************"}'),
            (
                f'{{"merchant_id": "{CARD_NUMBER}", "event_time": 1795478400000001}}',
                f'{{"merchant_id": "{MASKED}", "event_time": 1795478400000001}}',
            ),
            # Names, and names that would be the same.
            (f'{{"{CARD_NUMBER}": 1}}', f'{{"{MASKED}": 1}}'),
            (f'{{"{CARD_NUMBER}": 1, "5555555555554444": 2}}', f'{{"{MASKED}": 1, "{MASKED}*": 2}}'),
            (
                f'{{"a": {{"b": [{{"{CARD_NUMBER}": "4111-1111-1111-1111"}}]}}}}',
                f'{{"a": {{"b": [{{"{MASKED}": "****-****-****-****"}}]}}}}',
            ),
            # Spread over a list.
            ('{"a": [4111, 1111, 1111, 1111, "x"]}', '{"a": ["****", "****", "****", "****", "x"]}'),
            (
                '{"a": [4111, null, 1111, "x", 1111, true, 1111]}',
                '{"a": ["****", null, "****", "x", "****", true, "****"]}',
            ),
            ('["41111111", "11111111"]', '["********", "********"]'),
            ('[["4111"], [1111, [1111]], {"x": [5]}, 1111]', '[["****"], ["****", ["****"]], {"x": [5]}, "****"]'),
            (f'{{"a": {json.dumps([0] * 70 + [4] + [1] * 15)}}}', f'{{"a": {json.dumps(["*"] * 86)}}}'),
            # Digits and separators that are written as escapes.
            ('{"note":"' + "".join(f"\\u003{digit}" for digit in CARD_NUMBER) + '"}', f'{{"note":"{MASKED}"}}'),
            (
                f'{{"note":"\\n{CARD_NUMBER}", "other": "caf\\u00e9"}}',
                f'{{"note":"\\n{MASKED}", "other": "caf\\u00e9"}}',
            ),
            ('{"note":"4111\\/1111\\/1111\\/1111"}', '{"note":"****/****/****/****"}'),
            (f'{{"note":"\\ud83d {CARD_NUMBER}"}}', f'{{"note":"\\ud83d {MASKED}"}}'),
            (
                f'{{"note": {json.dumps(json.dumps({"pan": CARD_NUMBER}))}}}',
                f'{{"note": {json.dumps(json.dumps({"pan": MASKED}))}}}',
            ),
            # Mistyped it is still nearly a card number.
            ('{"card_number":"4111111111111112"}', f'{{"card_number":"{MASKED}"}}'),
            ('{"cardNumber": 4111111111111112}', f'{{"cardNumber": "{MASKED}"}}'),
            ('{"card_number": ["4111.1111", {"x": 12}]}', '{"card_number": ["****.****", {"x": "**"}]}'),
            # Not well-formed, or more than Cardwatch's own decoder accepts.
            (f'{{"card_number":"{CARD_NUMBER}', f'{{"card_number":"{MASKED}'),
            ('{"card_number":4111 1111 1111 1112}', '{"card_number":**** **** **** ****}'),
            (f'{{"pan": "\\{CARD_NUMBER}"}}', f'{{"pan": "\\{MASKED}"}}'),
            (f'{{"pan": {CARD_NUMBER}, "pan": 1}}', f'{{"pan": "{MASKED}", "pan": 1}}'),
            ("[" * 600 + CARD_NUMBER + "]" * 600, "[" * 600 + f'"{MASKED}"' + "]" * 600),
            (CARD_NUMBER, MASKED),
            (f'"{CARD_NUMBER}"', f'"{MASKED}"'),
            (f'{{"pan": "{CARD_NUMBER}"}}'.encode("utf-16-le"), f'{{"pan": "{MASKED}"}}'.encode("utf-16-le")),
            (f'{{"pan": "{CARD_NUMBER}"}}'.encode("utf-32-le"), f'{{"pan": "{MASKED}"}}'.encode("utf-32-le")),
            ('{"a": [4111.0, 1111.0, 1111.00, 1111]}', '{"a": ["****.*", "****.*", "****.**", "****"]}'),
        ],
    ),
    *_masked(
        Structure.JSON,
        (
            (mark + text.encode(encoding), mark + masked.encode(encoding))
            for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
            for mark in (b"", "\ufeff".encode(encoding))
            for text, masked in (
                ('{"cvv": "123", "x": 1}', '{"cvv": "****", "x": 1}'),
                ('{"x": {"cvv": "123"', '{"x": {"cvv": "***"'),
                ('{"card_number": 4111111111111112', f'{{"card_number": {MASKED}'),
                ('{"pan": "\uff14111111111111111 \u00e9', f'{{"pan": "{MASKED} \u00e9'),
            )
        ),
    ),
    # Values that are dropped, whatever they are.
    *_masked(
        Structure.JSON,
        (
            (f'{{"{name}": {value}, "x": 1}}', f'{{"{name}": "****", "x": 1}}')
            for name in _DROPPED_FIELDS
            for value in ('"123"', "123", '{"x": [1, "a", {}]}')
        ),
    ),
    *_masked(Structure.JSON, [('{"x": {"cvv": "123"', '{"x": {"cvv": "***"'), ('{"cvv": 123', '{"cvv": ***')]),
    *_kept(
        Structure.JSON,
        # Each of these would be masked if its form were not known to be harmless.
        '{"event_time": 1620000000000000, "amount_minor": 1200}',
        '{"event_time": 1620000000000000, "amount_minor": 12',
        '{"latitude": 52.52000712345674, "longitude": -4.111111111111111}',
        '{"card_token":"aaaaaaaaaaaaaaaa4111111111111111"}',
        '{"note": "caf\\u00e9 \\u0034"}',
        '{"cvv": "****", "pin": null, "track_data": "", "spin": 12, "soundtrack": "1", "cidr": "10.0.0.0/8"}',
        '{"card_token": "41111111111111114111111111111111"}',
        "[1, 2, 3]",
    ),
)

BINARY_CASES: Final = (
    *_masked(
        Structure.BINARY,
        (
            (around[0] + CARD_NUMBER.encode() + around[1], around[0] + MASKED.encode() + around[1])
            for around in (
                (b"\x00\x00\x00\x00\x63\x20", b"\x18"),
                (b"\x00junk ", b"\xff"),
                (b"\x00\x00\x00\x00\x63\\", b" is the number of the card, ..."),
                (b"\x00x", b"y"),
                (b"\xff", b""),
            )
        ),
    ),
    *_masked(
        Structure.BINARY,
        [
            (b"\x00\x00" + " ".join(CARD_NUMBER).encode(), b"\x00\x00" + " ".join(MASKED).encode()),
            (b"\xff4111\xa01111\xa01111\xa01111", b"\xff****\xa0****\xa0****\xa0****"),
            (b"\xff" + "４".encode() + CARD_NUMBER[1:].encode(), b"\xff***" + b"*" * 15),
            (f"12{CARD_NUMBER}34", b"*" * 20),
        ],
    ),
    *_kept(Structure.BINARY, b"\xde\xad\xbe\xef", bytes(range(256)), f"x {TOKEN} y", "4111 1111 1111"),
)

ALL_CASES: Final = (*TEXT_CASES, *JSON_CASES, *BINARY_CASES)
