"""The test cases for all code that masks card numbers; each component runs them through its own interface.

Used by the tests of this package, of the dead letters of enricher and notifier, of bronze and of trace context.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CARD_NUMBER: Final = "4111111111111111"
"""The card schemes' published test number."""

MASKED: Final = "*" * 16

TRANSACTION_FIELDS: Final = frozenset({"transaction_id", "merchant_id", "device_id", "event_time", "latitude"})
"""Fields that follow a contract, as far as the cases name them."""


class Structure(StrEnum):
    """What is known of the bytes that a case is about."""

    TEXT = "text"
    """A key, a header, a text in a decoded record."""
    JSON = "json"
    """A message on a JSON topic, well-formed or not."""
    UNDECODABLE = "undecodable"
    """A message that should be Avro and is not."""


@dataclass(frozen=True)
class MaskingCase:
    """How some bytes are masked; ``masked`` equals ``original`` where nothing in them is a card number."""

    structure: Structure
    original: bytes
    masked: bytes

    @property
    def changes(self) -> bool:
        """Whether anything is masked."""
        return self.masked != self.original


def _masked(structure: Structure, *texts: str | bytes) -> list[MaskingCase]:
    """Cases in which the card number, in any of its spellings, is masked and nothing else changes."""
    found = []
    for text in texts:
        original = text if isinstance(text, bytes) else text.encode()
        masked = original
        for spelling in _SPELLINGS:
            masked = masked.replace(spelling, bytes(ord("*") if char in b"0123456789" else char for char in spelling))
        found.append(MaskingCase(structure, original, masked))
    return found


def _kept(structure: Structure, *texts: str | bytes) -> list[MaskingCase]:
    values = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return [MaskingCase(structure, value, value) for value in values]


_GROUPS: Final = ("4111", "1111", "1111", "1111")
_SPELLINGS: Final = (
    CARD_NUMBER.encode(),
    *(separator.join(_GROUPS).encode() for separator in (" ", "-", ".", "/", "_", " - ")),
    b"4111 1111-1111 1111",
    b"4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    b"3782 822463 10005",
    b"4111.1111 1111.1111",
    *(CARD_NUMBER.encode(encoding) for encoding in ("utf-16-le", "utf-32-le")),
)
_TOKEN: Final = "4111111111111111abcdef0123456789"  # noqa: S105 - a card token of the tests

TEXT_CASES: Final = (
    *_masked(
        Structure.TEXT,
        CARD_NUMBER,
        f"paid with {CARD_NUMBER}.",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111 1111-1111 1111",
        "amex 3782 822463 10005.",
        # A check code or an expiry date behind the number, or something before it, makes one longer run.
        f"{CARD_NUMBER} 123",
        f"card {CARD_NUMBER} 12/27",
        f"001-{CARD_NUMBER}",
        f"a1 {CARD_NUMBER}",
        f"({CARD_NUMBER})",
        # A number that stands by itself once is masked wherever else it is written.
        f"{CARD_NUMBER} a{CARD_NUMBER}b 9{CARD_NUMBER}9",
    ),
    *_kept(
        Structure.TEXT,
        "",
        "4111111111111112",
        "411111111111",
        f"{CARD_NUMBER}0000",
        f"a{CARD_NUMBER}",
        f"{CARD_NUMBER}f",
        "2026-11-24T10:00:00.123456Z",
        _TOKEN,
        f"00-{_TOKEN}-00f067aa0ba902b7-01",
        "5000a000-4111-1111-1111-111111111111",
    ),
)

JSON_CASES: Final = (
    *_masked(
        Structure.JSON,
        f'{{"pan": "{CARD_NUMBER}"}}',
        f'{{"pan": "PAN{CARD_NUMBER}!"}}',
        f'{{"pan": {CARD_NUMBER}}}',
        '{"pan": "4111.1111.1111.1111"}',
        f'{{"note":"\\n{CARD_NUMBER}"}}',
        f'{{"note":"\\u0006{CARD_NUMBER}\\u20ac"}}',
        f'{{"merchant_id":"\\u0006{CARD_NUMBER}", "device_id":"\\u00e9 12345.678901234"}}',
        f'{{"{CARD_NUMBER}": 1}}',
        f'{{"a": {{"b": [{{"{CARD_NUMBER}": "4111-1111-1111-1111"}}]}}}}',
        f'{{"merchant_id": "{CARD_NUMBER}", "event_time": 1795478400000001}}',
        f'{{"merchant_id": "a{CARD_NUMBER}"}}',
        f'{{"event_time": {CARD_NUMBER}}}',
        f'{{"amount_minor": {CARD_NUMBER}}}',
        f'{{"card_number":"{CARD_NUMBER}"}}',
        f'{{"card_number":"{CARD_NUMBER}',
        '{"card_number":4111 1111 1111 1111}',
        '{"card_number": ["4111.1111 1111.1111"]}',
        f'{{"merchant_id": "{CARD_NUMBER}\\\\9{CARD_NUMBER}9"}}',
        # Not well-formed: what its escapes and fields are, nobody knows.
        f'{{"pan": "\\{CARD_NUMBER}"}}',
        f'{{"pan": \\u{CARD_NUMBER}',
        '{"merchant_id": "a\t4111.1111.1111.1111", "x": 1}',
        f'"{CARD_NUMBER}"',
        CARD_NUMBER,
        f'[{{"pan": "{CARD_NUMBER}"}}]',
        "card 4111.1111.1111.1111, please",
        f"\xff{CARD_NUMBER}".encode("latin-1"),
        # A backslash begins an escape in well-formed JSON only.
        f'{{"note": "\\{CARD_NUMBER}"}}',
        f"C:\\{CARD_NUMBER}",
        f"\\u{CARD_NUMBER}",
        f'{{"pan": "{CARD_NUMBER}"}}'.encode("utf-16-le"),
        f'{{"pan": "{CARD_NUMBER}"}}'.encode("utf-32-le"),
    ),
    # Digits and separators that are written as escapes are written out where something is masked.
    MaskingCase(
        Structure.JSON,
        ('{"note":"' + "".join(f"\\u003{digit}" for digit in CARD_NUMBER) + '"}').encode(),
        f'{{"note":"{MASKED}"}}'.encode(),
    ),
    MaskingCase(Structure.JSON, b'{"note":"4111\\u00201111\\u00201111\\u00201111"}', b'{"note":"**** **** **** ****"}'),
    MaskingCase(
        Structure.JSON, b'{"note":"\\u00004111\\u0000111111111111"}', b'{"note":"\\u0000****\\u0000************"}'
    ),
    MaskingCase(Structure.JSON, b'{"note":"4111\\/1111\\/1111\\/1111"}', b'{"note":"****/****/****/****"}'),
    # Its escapes would make it well-formed, were they written out.
    MaskingCase(
        Structure.JSON,
        b'{"merchant_id": "4111.1111.1111.1111\\u00\\u0030a"}',
        b'{"merchant_id": "****.****.****.****\\u000a"}',
    ),
    # Within a longer number there may be several.
    *(
        MaskingCase(Structure.JSON, text % f"12{CARD_NUMBER}34".encode(), text % (b"*" * 20))
        for text in (b'{"pan": "%s"}', b'{"a": {"merchant_id": "%s"}}')
    ),
    # Mistyped it is still nearly a card number.
    MaskingCase(Structure.JSON, b'{"card_number":"4111111111111112"}', f'{{"card_number":"{MASKED}"}}'.encode()),
    MaskingCase(Structure.JSON, b'{"latitude": 411.1111111111111}', b'{"latitude": ***.*************}'),
    *_kept(
        Structure.JSON,
        # Each of these would be masked if its form were not known to be harmless.
        '{"event_time": 1795478400000001, "amount_minor": 1200}',
        '{"event_time": 1795478400009}',
        '{"latitude": 52.52000712345674}',
        '{"card_token":"aaaaaaaaaaaaaaaa4111111111111111"}',
        f'{{"transaction_id": "{CARD_NUMBER}0000", "device_id": "4111.1111.1111.1111"}}',
        '{"event_time": "2026-11-24T10:00:00.123456+01:00"}',
        '{"note": "caf\\u00e9 \\u0034"}',
    ),
)

UNDECODABLE_CASES: Final = (
    *_masked(
        Structure.UNDECODABLE,
        b"\x00\x00\x00\x00\x63\x20" + CARD_NUMBER.encode() + b"\x18",
        b"\x00junk " + CARD_NUMBER.encode() + b"\xff",
        # The length of a text of 46 bytes is a backslash.
        b"\x00\x00\x00\x00\x63\\" + CARD_NUMBER.encode() + b" is the number of the card, ...",
        f"x{CARD_NUMBER}y",
        b"\x00\x00" + b"4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "4111 - 1111 - 1111 - 1111",
        "4111_1111_1111_1111",
        f'{{"pan": "{CARD_NUMBER}"}}',
    ),
    MaskingCase(Structure.UNDECODABLE, f"12{CARD_NUMBER}34".encode(), b"*" * 20),
    MaskingCase(Structure.UNDECODABLE, f"x {CARD_NUMBER} y {_TOKEN}".encode(), f"x {MASKED} y {_TOKEN}".encode()),
    *_kept(Structure.UNDECODABLE, b"\xde\xad\xbe\xef", bytes(range(256)), f"x {_TOKEN} y", "4111 1111 1111"),
)

ALL_CASES: Final = (*TEXT_CASES, *JSON_CASES, *UNDECODABLE_CASES)
