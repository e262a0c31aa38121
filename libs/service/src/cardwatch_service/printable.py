"""Text from messages, made safe to read: it cannot steer a terminal, hide itself, or become a spreadsheet's formula."""

from html import escape
from typing import Final

from cardwatch_contracts.text import is_control_character

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
    return is_control_character(char) and not (keep_newlines and char == "\n")


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def escape_formula(text: str) -> str:
    """The text of a CSV cell; with an apostrophe before it if a spreadsheet program would take it for a formula."""
    return _TEXT_MARK + text if text.startswith(tuple(FORMULA_STARTS)) else text


def escape_cell(text: str) -> str:
    """The text of a CSV cell: no formula, and control characters escaped, also those that begin a formula."""
    return escape_control_characters(escape_formula(text))


def escape_html(text: str) -> str:
    """The text of an HTML element or attribute, with control characters and marks of direction as visible codes."""
    return escape(escape_control_characters(text))
