"""A definition that was written to stop its readers gets a sentence, in bounded time, from whatever reads it."""

import time
from collections.abc import Callable

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rulebook.definitions import differing_entries, is_same_definition, parse_definition, read_definitions
from support.hostile_rules import hostile_definitions

_MOST_SECONDS = 10.0
_MOST_CHARACTERS = 10_000


def _read_file(definition: str) -> object:
    return read_definitions("- " + definition.replace("\n", "\n  "), "rules.yaml")


def _parse(definition: str) -> object:
    return parse_definition(definition, "revision 1")


def _compare(definition: str) -> object:
    return is_same_definition(definition, definition + "\n")


def _name_differences(definition: str) -> object:
    return differing_entries(definition, definition + "\n")


@pytest.mark.parametrize("read", [_parse, _read_file, _compare, _name_differences])
@pytest.mark.parametrize("name", hostile_definitions())
def test_a_hostile_definition_is_refused_with_a_sentence(name: str, read: Callable[[str], object]) -> None:
    began = time.process_time()  # whatever else the machine does
    sentence = _refusal(read, hostile_definitions()[name])
    assert time.process_time() - began < _MOST_SECONDS
    if read in {_parse, _read_file}:
        assert sentence
    assert len(sentence) < _MOST_CHARACTERS


def _refusal(read: Callable[[str], object], definition: str) -> str:
    """The sentence with which a definition is refused; empty if it is not."""
    try:
        read(definition)
    except ConfigurationError as error:
        return str(error)
    return ""
