"""Rule files to definitions and back."""

from dataclasses import replace
from pathlib import Path

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rulebook import planning
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.definitions import (
    export_text,
    is_same_definition,
    parse_definition,
    read_definitions,
    rule_text,
)
from cardwatch_rulebook.planning import Author
from cardwatch_rules.model import Mode
from cardwatch_rules.parse import parse_rules

FILE = """
rules:   # a comment
  - id: spree
    version: 4
    title: "Colon: and ümlaut"
    scope: card
    mode: shadow
    severity: high
    measures:
      spent: {window: 60m, is: sum(base_amount_minor), where: "channel in ('pos', 'atm')"}
    when: |
      spent > 250000
      and country <> 'DE'
  - {id: odd, title: "true", scope: card, measures: {n: {window: 1h, is: count(*)}}, when: "n > 1"}
"""


def test_a_definition_has_the_entries_of_the_file() -> None:
    spree, odd = read_definitions(FILE, "file.yaml")
    assert (spree.version, spree.mode, odd.version, odd.mode) == (4, Mode.SHADOW, None, None)
    assert "version" not in spree.text
    assert "mode" not in spree.text
    parsed = parse_definition(spree.text, "stored")
    assert (parsed.measures, parsed.when, parsed.title) == (spree.rule.measures, spree.rule.when, spree.rule.title)
    assert parse_definition(odd.text, "stored") == odd.rule
    assert "  spent: {window: 60m, is: sum(base_amount_minor), where:" in spree.text


def test_an_export_is_a_rule_file_with_versions_and_modes() -> None:
    book = Rulebook()
    for definition in read_definitions(FILE, "file.yaml"):
        change = planning.apply(definition, Author("anna")).make(book)
        assert change is not None
        book.accept(change)
    exported = export_text(book.current())
    assert parse_rules(exported) == tuple(sorted(parse_rules(FILE), key=lambda rule: rule.rule_id))
    spree = book.latest("spree")
    assert spree is not None
    assert parse_rules(rule_text(spree)) == (replace(parse_rules(FILE)[0], version=1, mode=Mode.LIVE),)
    # Applied again it changes nothing.
    assert [planning.apply(item, Author("anna")).make(book) for item in read_definitions(exported, "x")] == [None, None]


def test_every_rule_file_of_the_repository_survives_a_round_trip(pytestconfig: pytest.Config) -> None:
    for path in Path(pytestconfig.rootpath, "config", "rules").glob("*.yaml"):
        for definition in read_definitions(path.read_text(encoding="utf-8"), path.name):
            stored = parse_definition(definition.text, path.name)
            assert (stored.measures, stored.when) == (definition.rule.measures, definition.rule.when)


def test_errors_name_file_and_line() -> None:
    with pytest.raises(ConfigurationError, match=r"file\.yaml, line \d+, rule spree"):
        read_definitions(FILE.replace("spent > 2", "spend > 2"), "file.yaml")


def test_what_another_version_of_the_language_wrote_is_compared_as_yaml() -> None:
    assert is_same_definition("a: 1\nb: 2", "b: 2\na: 1")
    assert not is_same_definition("a: 1", "a: 2")
