"""Texts with characters that have no shape of their own, which every service must refuse or escape.

One table for all that read text: the enricher's validation, logs, reports, CSV, tables, the notifier's messages.
"""

import unicodedata
from dataclasses import dataclass
from typing import Final

CONTROL_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class HostileText:
    """A text that is not what it looks like.

    Attributes:
        text: valid Unicode, so that it can be in a message.
        code: its first control character, as in errors.
    """

    name: str
    text: str
    code: str

    def __str__(self) -> str:
        return self.name


HOSTILE_TEXTS: Final = (
    HostileText("ansi-clear-screen", "m\x1b[2J\x1b[H", "U+001B"),
    HostileText("ansi-title", "\x1b]0;pwned\x07m", "U+001B"),
    HostileText("c1-csi", "m\x9b31mred", "U+009B"),
    HostileText("carriage-return", "paid\rDENIED", "U+000D"),
    HostileText("line-feed", "m\nlevel=error event=forged", "U+000A"),
    HostileText("header-injection", "m\r\nBcc: a@example.com", "U+000D"),
    HostileText("tab", "a\tb", "U+0009"),
    HostileText("zero-byte", "a\x00b", "U+0000"),
    HostileText("backspace", "abc\x08\x08\x08xyz", "U+0008"),
    HostileText("delete", "a\x7fb", "U+007F"),
    HostileText("next-line", "a\x85b", "U+0085"),
    HostileText("bidi-override", "m-\u202e71\u202c", "U+202E"),
    HostileText("bidi-isolate", "\u2066m\u2069", "U+2066"),
    HostileText("bidi-mark", "m\u200f", "U+200F"),
    HostileText("arabic-letter-mark", "\u061cm", "U+061C"),
    HostileText("zero-width-space", "pay\u200bpal", "U+200B"),
    HostileText("zero-width-joiner", "pay\u200dpal", "U+200D"),
    HostileText("byte-order-mark", "\ufeffm", "U+FEFF"),
    HostileText("soft-hyphen", "pay\u00adpal", "U+00AD"),
    HostileText("line-separator", "a\u2028b", "U+2028"),
    HostileText("paragraph-separator", "a\u2029b", "U+2029"),
    HostileText("tag-character", "m\U000e0041", "U+E0041"),
    HostileText("interlinear-annotation", "m\ufff9n", "U+FFF9"),
)

# Unusual, and allowed: they have a shape.
HARMLESS_TEXTS: Final = ("Zoë’s café", "東京", "مقهى", "קפה", "🙂", "€ 5", "a\\u202eb", "-", "é́")


def control_characters(text: str, *, allowed: str = "") -> list[str]:
    """The codes of all control characters of a text, found by Unicode's categories."""
    return [
        f"U+{ord(char):04X}"
        for char in text
        if char not in allowed and unicodedata.category(char) in CONTROL_CATEGORIES
    ]
