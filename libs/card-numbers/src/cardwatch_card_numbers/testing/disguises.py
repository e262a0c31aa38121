"""Ways to write a card number so that a careless scanner would miss it, and texts that look like one and are none."""

import base64
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from cardwatch_card_numbers.testing.numbers import CARD_NUMBER, ISSUED_NUMBERS

TOKEN: Final = "4111111111111111abcdef0123456789"  # noqa: S105 - a card token of the tests
_UUID: Final = "5000a000-4111-1111-1111-111111111111"
_FULL_WIDTH: Final = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))
_ARABIC: Final = str.maketrans("0123456789", "".join(chr(0x660 + digit) for digit in range(10)))
_SEPARATORS: Final = (" ", "-", ".", "/", "_", "+", "\\", "  ", " - ", "\t", "\n", "\x00", "\u00a0", "\u2009", "\u202f",
                      "\u2011", "\u2013", "\u2014", "\u200b", "\u00ad", "\U000e01f0",
                      "\u3164", "\uffa0", "\u2800", "\u2065", "\u00b7", ",", ", ", ":", "|", ";")  # fmt: skip


def _wrapped(text: str, by: str) -> str:
    return by.join(text[start : start + 10] for start in range(0, len(text), 10))


def _encoded(*encoders: Callable[[bytes], bytes]) -> str:
    """The card number in one encoding after another; the last one named is the innermost."""
    content = CARD_NUMBER.encode()
    for encode in reversed(encoders):
        content = encode(content)
    return content.decode()


DISGUISES: Final = {
    **{f"scheme {scheme}": number for scheme, number in ISSUED_NUMBERS.items()},
    **{f"separator {by!a}": by.join(("4111", "1111", "1111", "1111")) for by in _SEPARATORS},
    "mixed separators": "4111 1111-1111 1111",
    "three different separators": "4111-1111 1111.1111",
    "mixed separators that no run has": "4111,1111;1111|1111",
    "separators that a run has and one that none has": "4111-1111, 1111 1111",
    "American Express with two separators": "3782,822463 10005",
    **{f"{by!a} after each digit": by.join(CARD_NUMBER) for by in (",", ", ", ":", "|", ";", "\u20ac")},
    "a separator after each digit": " ".join(CARD_NUMBER),
    **{
        f"invisible {by!a} after each digit": by.join(CARD_NUMBER)
        for by in ("\u3164", "\uffa0", "\u1160", "\u2800", "\u2065", "\ufff0", "\U000e01f0")
    },
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
    "HTML's escapes without semicolons": "".join(f"&#{ord(digit)}" for digit in CARD_NUMBER),
    "HTML's escapes with zeros": "".join(f"&#x{ord(digit):08x};&#{0:09d};" for digit in CARD_NUMBER).removesuffix(
        "&#000000000;"
    ),
    "HTML's names of spaces": "4111&nbsp;1111&thinsp;1111&shy;1111",
    "JavaScript's escapes": "".join(f"\\u{{{ord(digit):x}}}" for digit in CARD_NUMBER),
    "JSON's escapes": "".join(f"\\u{ord(digit):04x}" for digit in CARD_NUMBER),
    **{
        f"base64 of {before!r} and a number": base64.b64encode(f"{before}{CARD_NUMBER}".encode()).decode()
        for before in ("", "a", "ab", '{"pan":"')
    },
    "base64 of groups": base64.b64encode(b"4111 1111 1111 1111").decode(),
    "base64 for URLs": base64.urlsafe_b64encode(b"??>" + CARD_NUMBER.encode()).decode(),
    **{
        f"{name} in lines that end with {by!a}": _wrapped(
            encode(b'{"pan": "' + CARD_NUMBER.encode() + b'"}').decode(), by
        )
        for name, encode in (("base64", base64.b64encode), ("base32", base64.b32encode))
        for by in ("\n", "\r\n", "\n  ", "\\n", "\\r\\n")
    },
    "base64 of base64": _encoded(base64.b64encode, base64.b64encode),
    "base64 of base64 of text": base64.b64encode(base64.b64encode(b"the pan is " + CARD_NUMBER.encode())).decode(),
    "base64 of base64 in a line": base64.b64encode(base64.b64encode(CARD_NUMBER.encode()) + b"\n").decode(),
    "base64 three times": _encoded(base64.b64encode, base64.b64encode, base64.b64encode),
    "base64 of base32": _encoded(base64.b64encode, base64.b32encode),
    "base32 of base64": _encoded(base64.b32encode, base64.b64encode),
    "base64 of hexadecimal": base64.b64encode(CARD_NUMBER.encode().hex().encode()).decode(),
    "base32": _encoded(base64.b32encode),
    "base32 of groups": base64.b32encode(b"4111 1111 1111 1111").decode(),
    "base32 of text": base64.b32encode(b"x" + CARD_NUMBER.encode()).decode(),
    "base32 in small letters without padding": _encoded(base64.b32encode).lower().rstrip("="),
    "base32 of 13 digits": base64.b32encode(b"4222222222222").decode(),
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
    TOKEN,
    TOKEN.upper(),
    f"00-{TOKEN}-00f067aa0ba902b7-01",
    _UUID,
    "490154203237518",  # an IMEI
    "192.168.100.123",
    "4111-1111",
    "Mozilla/5.0 (X11; Linux x86_64) Chrome/119.0.0.0 Safari/537.36",
    "https://example.com/a%20b?x=%E2%82%AC",
    "the cvv is required",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",  # a ULID
    "The quick brown fox jumps over the lazy dog",
    base64.b64encode(base64.b64encode(b"The quick brown fox jumps over the lazy dog")).decode(),
    base64.b32encode(b"The quick brown fox jumps over the lazy dog").decode(),
    "1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7",
    base64.b64encode(bytes(range(256))).decode(),
)
"""Texts in which nothing is found."""

NUMERIC_IDENTIFIERS: Final = (
    "1798765432109876543",  # a Snowflake
    "1841111111111111111",
    "411111111111111112",
    f"9{CARD_NUMBER}",
    f"{CARD_NUMBER}1",
    f"{CARD_NUMBER}123",
    "54222222222222",
    "42222222222221",
    "1378282246310005",
    f"00000{CARD_NUMBER}00000",
    "24692160000390000000000",  # an acquirer reference number
)
"""Accepted and kept as ``transaction_id``, ``merchant_id`` and ``device_id``, though most hold a card number."""

REFUSED_IDENTIFIERS: Final = (
    *ISSUED_NUMBERS.values(),
    f"0{CARD_NUMBER}",
    f"000{CARD_NUMBER}",
    "0378282246310005",
    f"{CARD_NUMBER}1225",
    f"{CARD_NUMBER}1225123",
    f"2512{CARD_NUMBER}",
    f"9{CARD_NUMBER} ",
    f"9-{CARD_NUMBER}",
    f"9{CARD_NUMBER}x",
    f"x9{CARD_NUMBER}",
    f"9{CARD_NUMBER}".translate(_FULL_WIDTH),
    "94111 1111 1111 1111",
    "".join(f"{ord(digit):02x}" for digit in CARD_NUMBER),
    "24692160000390000000001"[:7] + CARD_NUMBER,
)
"""Refused there as everywhere, and masked."""

KEPT_WHERE_EXEMPT: Final = (
    *NUMERIC_IDENTIFIERS,
    *ISSUED_NUMBERS.values(),
    f"0{CARD_NUMBER}",
    f"{CARD_NUMBER}1225123",
    CARD_NUMBER * 4,
    "".join(f"{ord(digit):02x}" for digit in CARD_NUMBER),
)
"""Accepted and kept in an identifier field that an operator has exempted: numbers of at most 64 digits."""

REFUSED_WHERE_EXEMPT: Final = (
    f"{CARD_NUMBER} ",
    f"9-{CARD_NUMBER}",
    f"{CARD_NUMBER}x",
    f"M{CARD_NUMBER}",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    CARD_NUMBER.translate(_FULL_WIDTH),
    f"{CARD_NUMBER}=25121010000000000",
    f"{CARD_NUMBER}D25121010000000000",
    f"0{CARD_NUMBER * 4}",
)
"""Refused and masked even there: what is not only digits, or too long for an identifier."""
