"""Text from messages, made safe to read: it cannot steer a terminal, hide itself, or become a spreadsheet's formula."""

import unicodedata
from typing import Final

# Control characters (C0, C1 and delete), format characters (all marks of direction, characters without width),
# surrogates, and the separators of lines and paragraphs.
_ESCAPED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# A spreadsheet program takes a cell that begins with one of these for a formula; wide ones are read like the others.
FORMULA_STARTS: Final = "=+-@\t\r\n＝＋－＠"
_TEXT_MARK: Final = "'"


def escape_control_characters(text: str, *, keep_newlines: bool = False) -> str:
    r"""The text with each character that has no shape of its own as its code: ``\u001b``, ``\u202e``.

    A code above ``ffff`` is written as two, as in JSON. So JSON remains JSON of the same value.

    Args:
        keep_newlines: leave line feeds, in a text that has lines of its own.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(char) if _is_unsafe(char, keep_newlines) else char for char in text)


def _is_unsafe(char: str, keep_newlines: bool) -> bool:
    return unicodedata.category(char) in _ESCAPED_CATEGORIES and not (keep_newlines and char == "\n")


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def escape_formula(text: str) -> str:
    """The text of a CSV cell; with an apostrophe before it if a spreadsheet program would take it for a formula."""
    return _TEXT_MARK + text if text.startswith(tuple(FORMULA_STARTS)) else text
