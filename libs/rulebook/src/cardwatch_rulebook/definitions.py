"""Reads rule files: the definition of each rule, and separately the version and the mode that the file asks for.

A definition is kept in one form (YAML, without version and mode), so that a rule can be compared with what it was.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import yaml
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rules.model import MAX_RULE_VERSION, Mode, Rule
from cardwatch_rules.parse import parse_rules
from cardwatch_rules.yaml_document import load_yaml

from cardwatch_rulebook.changes import Change

MAX_DEFINITION_CHARACTERS: Final = 128 * 1024
"""Of one rule; twice as much as the longest that is valid: 20 measures, each with a condition of 2,000 characters."""

_WIDTH: Final = 110


@dataclass(frozen=True, slots=True)
class Definition:
    """A rule as a file defines it.

    Attributes:
        rule: parsed and checked.
        text: its YAML, without version and mode.
        version: that the file gives, None where it leaves counting to the rulebook.
        mode: that the file gives, None where it leaves the mode as it is.
    """

    rule: Rule
    text: str
    version: int | None
    mode: Mode | None


def read_definitions(text: str, source: str, horizons_us: Mapping[str, int] | None = None) -> tuple[Definition, ...]:
    """The rules of a file.

    Args:
        text: YAML, as ``parse_rules`` takes it.
        source: stands for the file in errors.
        horizons_us: how far back each scope's state reaches, microseconds; a rule that looks further is an error.

    Raises:
        ConfigurationError: the file or a rule in it has errors; names file, line and rule.
    """
    rules = parse_rules(text, source, horizons_us)
    document = load_yaml(text, source).value
    items: list[dict[str, Any]] = document["rules"] if isinstance(document, dict) else document
    return tuple(
        Definition(
            rule=rule,
            text=_dump({key: value for key, value in item.items() if key not in {"version", "mode"}}),
            version=rule.version if "version" in item else None,
            mode=rule.mode if "mode" in item else None,
        )
        for rule, item in zip(rules, items, strict=True)
    )


def parse_definition(definition: str, source: str, horizons_us: Mapping[str, int] | None = None) -> Rule:
    """The rule of a definition as the rulebook keeps it; version and mode are the defaults.

    Raises:
        ConfigurationError: it has errors, or needs more than the horizon of its scope.
    """
    if len(definition) > MAX_DEFINITION_CHARACTERS:
        raise ConfigurationError(
            f"{source} is too long: expected at most {MAX_DEFINITION_CHARACTERS} characters, got {len(definition)}"
        )
    rules = parse_rules("- " + definition.replace("\n", "\n  "), source, horizons_us)
    if len(rules) != 1:
        raise ConfigurationError(f"{source}: expected the definition of one rule, got {len(rules)}")
    return rules[0]


def rule_of(change: Change, rule: Rule) -> Rule:
    """The rule of a change's definition, in the version and the mode that the change gives it.

    Raises:
        ConfigurationError: no alert can have this version.
    """
    if not 1 <= change.version <= MAX_RULE_VERSION:
        raise ConfigurationError(
            f"revision {change.revision} of rule {change.rule_id} has the version {change.version}, expected 1 to "
            f"{MAX_RULE_VERSION}; apply the rule again, which gives it another one"
        )
    return replace(rule, version=change.version, mode=change.mode)


def is_same_definition(one: str, other: str) -> bool:
    """Whether two definitions are equivalent, however they are written (``60m`` or ``1h``), defaults given or not."""
    if one == other:
        return True
    try:
        return parse_definition(one, "one") == parse_definition(other, "other")
    except ConfigurationError:  # written for another version of the rule language
        return bool(_load(one) == _load(other))


def differing_entries(before: str, after: str) -> list[str]:
    """The entries of a rule (``when``, ``measures``, …) in which two definitions differ, in order.

    Raises:
        ConfigurationError: one is not YAML.
    """
    one, other = _load(before), _load(after)
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return []
    return [name for name in {**other, **one} if one.get(name) != other.get(name)]


def export_text(changes: Iterable[Change]) -> str:
    """Rules as a rule file, with their versions and modes."""
    return _dump({"rules": [_exported(change) for change in changes]})


def rule_text(change: Change) -> str:
    """One rule as a rule file, without version and mode: to be edited and applied."""
    return _dump([_parsed_definition(change)])


def _exported(change: Change) -> dict[str, Any]:
    definition = _parsed_definition(change)
    return {"id": change.rule_id, "version": change.version, "mode": change.mode.value, **definition}


def _parsed_definition(change: Change) -> dict[str, Any]:
    try:
        definition = _load(change.definition)
    except ConfigurationError as error:
        raise ConfigurationError(f"rule {change.rule_id}, revision {change.revision}: {error}") from error
    if not isinstance(definition, dict):
        raise ConfigurationError(f"rule {change.rule_id}, revision {change.revision}, is not a YAML mapping")
    return definition


def _load(text: str) -> Any:
    return load_yaml(text, "a stored rule", max_characters=MAX_DEFINITION_CHARACTERS).value


def _dump(value: Any) -> str:
    return str(yaml.dump(_measures_inline(value), Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=_WIDTH))


class _Inline(dict[str, Any]):
    """A mapping that is written on one line."""


def _measures_inline(value: Any) -> Any:
    """A document with each measure on a line of its own, as people write it."""
    if isinstance(value, list):
        return [_measures_inline(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "rules" in value:
        return {**value, "rules": _measures_inline(value["rules"])}
    measures = value.get("measures")
    if not isinstance(measures, dict):
        return value
    return {**value, "measures": {name: _Inline(measure) for name, measure in measures.items()}}


@cache
def _dumper() -> type[yaml.SafeDumper]:
    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            """Indent the items of a list as well."""
            super().increase_indent(flow, False)

    Dumper.add_representer(
        _Inline, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=True)
    )
    Dumper.add_representer(
        str,
        lambda dumper, value: dumper.represent_scalar(
            "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
        ),
    )
    return Dumper
