"""What commands print for people contains no character that steers a terminal or turns the direction of text."""

import io
import unicodedata
from contextlib import redirect_stdout

import pytest
from cardwatch_cli.demo.screen import alert_line
from cardwatch_cli.output import echo_file, print_json
from cardwatch_service.tables import print_table
from hypothesis import given
from hypothesis import strategies as st

BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# Surrogates cannot be encoded, so no message and no argument has them.
TEXT = st.text(st.sampled_from(BIDI_CONTROLS + "\x1b\x9b\n\r\t\x7f\x00\u2028") | st.characters(codec="utf-8"))


def assert_steers_nothing(printed: str) -> None:
    steering = {char for char in printed if unicodedata.category(char) == "Cc" or char in BIDI_CONTROLS}
    assert steering <= {"\n"}


@given(st.lists(st.tuples(TEXT, TEXT), max_size=3), st.booleans())
def test_a_table_steers_nothing(rows: list[tuple[str, str]], with_lines: bool) -> None:
    with redirect_stdout(io.StringIO()) as printed:
        print_table(("name", "comment\x1b[1m"), rows, with_lines=("name",) if with_lines else ())
    assert_steers_nothing(printed.getvalue())


@given(st.dictionaries(TEXT, TEXT))
def test_json_steers_nothing(document: dict[str, str]) -> None:
    with redirect_stdout(io.StringIO()) as printed:
        print_json(document)
    assert_steers_nothing(printed.getvalue())


@given(TEXT)
def test_the_demos_line_of_an_alert_steers_nothing(text: str) -> None:
    names = ("status", "severity", "rule_title", "card_last_four", "merchant_id", "country")
    line = alert_line({**dict.fromkeys(names, text), "measures": [{"name": text, "text": text, "value": 1}]})
    assert_steers_nothing(line)
    assert "\n" not in line


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_file_keeps_its_characters_unless_it_is_shown(is_terminal: bool) -> None:
    class Output(io.StringIO):
        def isatty(self) -> bool:
            return is_terminal

    with redirect_stdout(Output()) as printed:
        echo_file("title: \u202e\n")
    assert printed.getvalue() == ("title: \\u202e\n" if is_terminal else "title: \u202e\n")
