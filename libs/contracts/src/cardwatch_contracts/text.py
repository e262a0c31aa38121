"""Which characters no text field of a message may contain. The only place where they are defined.

They have no shape of their own: they steer a terminal (ANSI escapes), turn the direction of the text behind them, hide
what is written, or end a line of a log. Services refuse them in transactions and rules; whatever prints a text that
was not refused escapes them (``cardwatch_service.printable``).
"""

import unicodedata
from typing import Final

# Control characters (C0, C1 and delete), format characters (all marks of direction, characters without width),
# surrogates, and the separators of lines and paragraphs.
_CONTROL_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def is_control_character(char: str) -> bool:
    """Whether a character has no shape of its own: Unicode's categories Cc, Cf, Cs, Zl and Zp."""
    return unicodedata.category(char) in _CONTROL_CATEGORIES


def find_control_character(text: str, *, allowed: str = "") -> str | None:
    """The first control character of a text as ``U+202E``, or None.

    Args:
        allowed: control characters that the text may contain, such as a line feed.
    """
    # Most texts have none, and this asks about the whole text at once.
    if text.isprintable():
        return None
    return next((f"U+{ord(char):04X}" for char in text if is_control_character(char) and char not in allowed), None)
