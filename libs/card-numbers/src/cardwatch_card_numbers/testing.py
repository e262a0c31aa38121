"""The test cases for all code that finds or masks card numbers; each component runs them through its own interface.

Used by the tests of this package, of the enricher's acceptance and dead letters, of the notifier's dead letters, of
bronze and of trace context.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final
from urllib.parse import quote

from cardwatch_card_numbers.check_digits import luhn_valid

CARD_NUMBER: Final = "4111111111111111"
"""The card schemes' published test number."""

MASKED: Final = "*" * 16

ISSUED_NUMBERS: Final = {
    "Visa": CARD_NUMBER,
    "Visa of 13 digits": "4222222222222",
    "Visa of 19 digits": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard, 2-series": "2223003122003222",
    "American Express": "378282246310005",
    "Discover": "6011111111111117",
    "Diners Club": "30569309025904",
    "Diners Club of 16 digits": "3600666633334442",
    "JCB": "3530111333300000",
    "UnionPay": "6200000000000005",
    "UnionPay of 19 digits": "6205500000000000004",
    "Maestro": "6759649826438453",
    "Mir": "2200770212727079",
    "RuPay": "8172451111111118",
    "Troy": "9792030000000000",
    "Elo": "6362970000457013",
    "Hipercard": "6062826786276634",
    "Verve": "5060990580000217499",
    "Dankort": "5019717010103742",
}
"""Published test numbers of the card schemes, or made-up ones in their ranges."""


def make_card_number(draw: Random, prefix: str, length: int) -> str:
    """A made-up card number with this prefix, random digits and a valid check digit."""
    digits = prefix + "".join(draw.choices("0123456789", k=length - len(prefix) - 1))
    return next(digits + last for last in "0123456789" if luhn_valid(digits + last))


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


def _starred(text: str) -> str:
    """The text with the UTF-8 of each of its digits, of any script, replaced by stars."""
    return "".join("*" * len(char.encode()) if char.isnumeric() else char for char in text)


_TOKEN: Final = "4111111111111111abcdef0123456789"  # noqa: S105 - a card token of the tests
_UUID: Final = "5000a000-4111-1111-1111-111111111111"
_FULL_WIDTH: Final = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))
_ARABIC: Final = str.maketrans("0123456789", "".join(chr(0x660 + digit) for digit in range(10)))
_SEPARATORS: Final = (" ", "-", ".", "/", "_", "+", "\\", "  ", " - ", "\t", "\n", "\x00", "\u00a0", "\u2009", "\u202f",
                      "\u2011", "\u2013", "\u2014", "\u200b", "\u00ad", "\u00b7", ",", ", ", ":", "|", ";")  # fmt: skip

DISGUISES: Final = {
    **{f"scheme {scheme}": number for scheme, number in ISSUED_NUMBERS.items()},
    **{f"separator {by!a}": by.join(("4111", "1111", "1111", "1111")) for by in _SEPARATORS},
    "mixed separators": "4111 1111-1111 1111",
    "a separator after each digit": " ".join(CARD_NUMBER),
    "American Express in its groups": "3782 822463 10005",
    "with a security code": "4111 1111 1111 1111 123",
    "with an expiry date": f"{CARD_NUMBER} 12/25",
    "with both": "4111-1111-1111-1111 12/25 123",
    "behind another number": f"001-{CARD_NUMBER}",
    "glued to a security code": f"{CARD_NUMBER}123",
    "glued to an expiry date": f"{CARD_NUMBER}1225",
    "glued to digits before": f"00{CARD_NUMBER}",
    "glued to letters": f"PAN{CARD_NUMBER}EXP",
    "glued to one letter": f"a{CARD_NUMBER}",
    "glued to letters of hexadecimal": f"{CARD_NUMBER}f",
    "in a sentence": f"paid with {CARD_NUMBER}.",
    "full-width digits": CARD_NUMBER.translate(_FULL_WIDTH),
    "full-width digits in groups": "4111\u30001111\u30001111\u30001111".translate(_FULL_WIDTH),
    "Arabic digits": CARD_NUMBER.translate(_ARABIC),
    "mathematical digits": "".join(chr(0x1D7CE + int(digit)) for digit in CARD_NUMBER),
    "circled digits": "".join(chr(0x2460 + int(digit) - 1) for digit in CARD_NUMBER),
    "superscript digits among others": "\u2074" + CARD_NUMBER[1:],
    "keycaps": "".join(f"{digit}\ufe0f\u20e3" for digit in CARD_NUMBER),
}
"""A card number written in some way, by the name of the way. Its digits, of any script, are all that is masked."""

ENCODED_DISGUISES: Final = {
    "track 1": f"%B{CARD_NUMBER}^DOE/JANE^25121010000000123000000?",
    "track 1 without sentinels": f"B{CARD_NUMBER}^DOE/JANE^25121010000000123000000",
    "track 2": f";{CARD_NUMBER}=25121010000012300000?",
    "track 2 without sentinels": f"{CARD_NUMBER}=25121010000012300000",
    "track 2 as chips have it": f"{CARD_NUMBER}D25121010000012300000",
    "track 2 of an unknown issuer": ";9999999999999999=25121010000012300000?",
    "percent-encoded groups": quote("4111 1111 1111 1111"),
    "percent-encoded digits": "".join(f"%{ord(digit):02X}" for digit in CARD_NUMBER),
    "percent-encoded twice": quote(quote("4111 1111 1111 1111")),
    "percent-encoded full-width digits": quote(CARD_NUMBER.translate(_FULL_WIDTH)),
    "one digit percent-encoded": f"%34{CARD_NUMBER[1:]}",
    "HTML's escapes": "".join(f"&#{ord(digit)};" for digit in CARD_NUMBER),
    "JSON's escapes": "".join(f"\\u{ord(digit):04x}" for digit in CARD_NUMBER),
    **{
        f"base64 of {before!r} and a number": base64.b64encode(f"{before}{CARD_NUMBER}".encode()).decode()
        for before in ("", "a", "ab", '{"pan":"')
    },
    "base64 of groups": base64.b64encode(b"4111 1111 1111 1111").decode(),
    "base64 for URLs": base64.urlsafe_b64encode(b"??>" + CARD_NUMBER.encode()).decode(),
    "base64 without padding": base64.b64encode(CARD_NUMBER.encode()).decode().rstrip("="),
}
"""A card number encoded in some way: all its characters are masked."""

HARMLESS: Final = (
    "",
    "4111111111111112",
    "411111111111",
    "1234567890123452",
    "2026-11-24T10:00:00.123456Z",
    "2026-11-24 10:00:00.123456+01:00",
    "1795478400000002",
    _TOKEN,
    _TOKEN.upper(),
    f"00-{_TOKEN}-00f067aa0ba902b7-01",
    _UUID,
    "490154203237518",  # an IMEI
    "192.168.100.123",
    "4111-1111",
    "Mozilla/5.0 (X11; Linux x86_64) Chrome/119.0.0.0 Safari/537.36",
    "https://example.com/a%20b?x=%E2%82%AC",
    "the cvv is required",
    base64.b64encode(bytes(range(256))).decode(),
)
"""Texts in which nothing is found."""

TEXT_CASES: Final = (
    *_masked(Structure.TEXT, ((text, _starred(text)) for text in DISGUISES.values())),
    *_masked(Structure.TEXT, ((text, "*" * len(text)) for text in ENCODED_DISGUISES.values())),
    *_masked(
        Structure.TEXT,
        [
            (f"x {CARD_NUMBER} y {_TOKEN}", f"x {MASKED} y {_TOKEN}"),
            (f"{CARD_NUMBER} a{CARD_NUMBER}b", f"{MASKED} a{MASKED}b"),
            ("cvv: 123", "cvv: ***"),
            ("CVC2=1234&x=1", "CVC2=****&x=1"),
            ("security code 123.", "security code ***."),
            (f"?pan={quote('4111 1111 1111 1111')}&x=1", f"?pan={'*' * 25}&x=1"),
            (f"Basic {base64.b64encode(b'pan:' + CARD_NUMBER.encode()).decode()}", f"Basic {'*' * 28}"),
        ],
    ),
    *_kept(Structure.TEXT, *HARMLESS),
)


_DROPPED_FIELDS: Final = (
    "cvv", "CVV2", "cvc", "cid", "csc", "security_code", "cardSecurityCode", "card_cvv", "cvvCode", "track1", "track2",
    "track_2", "trackData", "track_data", "Track2Data", "track2_equivalent_data", "pin", "pin_block", "PINBlock",
    "magstripe", "card_verification_value",
)  # fmt: skip


def _document(name: str, content: str) -> str:
    return json.dumps({"x": 1, name: content}, ensure_ascii=False)


JSON_CASES: Final = (
    # A character of several bytes is one star in JSON.
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
            ('["41111111", "11111111"]', '["********", "********"]'),
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
        ],
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
    *_kept(Structure.BINARY, b"\xde\xad\xbe\xef", bytes(range(256)), f"x {_TOKEN} y", "4111 1111 1111"),
)

ALL_CASES: Final = (*TEXT_CASES, *JSON_CASES, *BINARY_CASES)
