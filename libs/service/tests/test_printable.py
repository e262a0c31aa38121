"""Text from messages is printed without control characters, and is no formula in a spreadsheet."""

import io
import json
import unicodedata
from contextlib import redirect_stderr, redirect_stdout

import pytest
from cardwatch_contracts.errors import CardwatchError
from cardwatch_service.commands import exit_with_error_message
from cardwatch_service.printable import (
    FORMULA_STARTS,
    escape_cell,
    escape_control_characters,
    escape_formula,
    escape_html,
)
from cardwatch_service.tables import print_table
from hypothesis import given
from hypothesis import strategies as st
from support.hostile_texts import HARMLESS_TEXTS, HOSTILE_TEXTS, HostileText, control_characters

BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HOSTILE_TEXT = st.text(st.sampled_from(BIDI_CONTROLS + "\x1b\x9b\n\r\t\x7f\x00\u2028\\a\U000e0041") | st.characters())


def unsafe_characters(printed: str, *, allowed: str = "\n") -> list[str]:
    """The characters that steer a terminal or turn the direction of text."""
    return [
        char
        for char in printed
        if char not in allowed and (unicodedata.category(char) == "Cc" or char in BIDI_CONTROLS)
    ]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("Zoë’s café, 東京 🙂 €", "Zoë’s café, 東京 🙂 €"),
        ("\x1b[2J\x1b[H", "\\u001b[2J\\u001b[H"),
        ("\x9b31m", "\\u009b31m"),
        ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),
        ("paid\rDENIED", "paid\\u000dDENIED"),
        ("a\nb", "a\\u000ab"),
        ("a\tb\x00\x7f", "a\\u0009b\\u0000\\u007f"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("a\u200b\ufeffb\u2028c", "a\\u200b\\ufeffb\\u2028c"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
)
def test_characters_without_a_shape_are_escaped(text: str, escaped: str) -> None:
    assert escape_control_characters(text) == escaped


def test_lines_of_a_text_can_stay() -> None:
    assert escape_control_characters("a\n\x1b[1mb\r\n", keep_newlines=True) == "a\n\\u001b[1mb\\u000d\n"


@given(HOSTILE_TEXT, st.booleans())
def test_nothing_that_is_printed_steers_a_terminal(text: str, keep_newlines: bool) -> None:
    printed = escape_control_characters(text, keep_newlines=keep_newlines)
    assert unsafe_characters(printed, allowed="\n" if keep_newlines else "") == []
    assert escape_control_characters(printed, keep_newlines=keep_newlines) == printed


@given(st.dictionaries(HOSTILE_TEXT, HOSTILE_TEXT))
def test_json_keeps_its_value(document: dict[str, str]) -> None:
    printed = escape_control_characters(json.dumps(document, ensure_ascii=False, indent=2), keep_newlines=True)
    assert json.loads(printed) == document
    assert unsafe_characters(printed) == []


@given(st.lists(HOSTILE_TEXT, min_size=1))
def test_a_table_steers_nothing(texts: list[str]) -> None:
    with redirect_stdout(io.StringIO()) as printed:
        print_table(("name", "error"), [(text, text) for text in texts])
    assert unsafe_characters(printed.getvalue()) == []


def test_an_error_with_text_of_a_message_keeps_its_lines_and_steers_nothing() -> None:
    printed = io.StringIO()
    with redirect_stderr(printed), pytest.raises(SystemExit), exit_with_error_message():
        raise CardwatchError("first\nsecond: \x1b[31m\u202e")
    assert printed.getvalue() == "error: first\nsecond: \\u001b[31m\\u202e\n"


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_a_cell_is_no_formula(start: str) -> None:
    assert escape_formula(f"{start}HYPERLINK(1)") == f"'{start}HYPERLINK(1)"
    assert escape_formula(f"a{start}") == f"a{start}"


def test_an_empty_cell_stays_empty() -> None:
    assert escape_formula("") == ""


@pytest.mark.parametrize("case", HOSTILE_TEXTS, ids=str)
def test_a_cell_and_a_page_show_control_characters(case: HostileText) -> None:
    for shown in (escape_cell(case.text), escape_html(case.text)):
        assert control_characters(shown) == []
        assert f"\\u{ord(case.text[0]):04x}" in shown or shown.startswith(case.text[0])


@pytest.mark.parametrize("text", HARMLESS_TEXTS)
def test_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert escape_html(text) == text
    assert escape_cell(text) == ("'-" if text == "-" else text)


@given(HOSTILE_TEXT)
def test_no_cell_is_a_formula_or_steers(text: str) -> None:
    cell = escape_cell(text)
    assert not cell.startswith(tuple(FORMULA_STARTS))
    assert control_characters(cell) == []


@given(HOSTILE_TEXT)
def test_no_text_leaves_its_html_element(text: str) -> None:
    shown = escape_html(f'{text}<script>"{text}')
    assert not set(shown) & set("<>\"'")
    assert control_characters(shown) == []
