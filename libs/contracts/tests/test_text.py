"""Control characters in texts: the one definition, against the table that all readers are tested with."""

import sys

import pytest
from cardwatch_contracts.text import find_control_character, is_control_character
from support.hostile_texts import HARMLESS_TEXTS, HOSTILE_TEXTS, HostileText, control_characters


@pytest.mark.parametrize("case", HOSTILE_TEXTS, ids=str)
def test_the_first_control_character_is_named(case: HostileText) -> None:
    assert find_control_character(case.text) == case.code


@pytest.mark.parametrize("text", HARMLESS_TEXTS)
def test_texts_of_any_script_have_none(text: str) -> None:
    assert find_control_character(text) is None


def test_allowed_ones_are_passed_over() -> None:
    assert find_control_character("a\nb", allowed="\n") is None
    assert find_control_character("a\nb\x1b", allowed="\n") == "U+001B"


def test_every_character_of_unicode_is_decided_by_its_category() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        expected = bool(control_characters(char))
        assert is_control_character(char) == expected
        assert (find_control_character(char) is not None) == expected
