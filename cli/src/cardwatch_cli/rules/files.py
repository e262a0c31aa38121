"""Rule files that are named on the command line, checked together."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cardwatch_card_numbers.scanner import holds_card_number
from cardwatch_contracts.errors import ConfigurationError, configuration_errors
from cardwatch_rulebook.definitions import Definition, read_definitions
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_units.durations import parse_duration

from cardwatch_cli.text_files import read_text_file

# A setting of the detector; rules are checked against it if it is set.
HORIZON_VARIABLE: Final = "CARDWATCH_DETECTOR_HORIZON_{scope}"

_SUFFIXES: Final = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One file and the rules in it."""

    path: Path
    definitions: tuple[Definition, ...]


def read_rule_files(paths: Sequence[Path], horizons_us: Mapping[str, int]) -> tuple[list[RuleFile], list[str]]:
    """The valid files, and the mistakes of the others.

    Args:
        paths: files, and directories of ``*.yaml`` and ``*.yml`` at any depth.
        horizons_us: how far back each scope's state reaches, microseconds.
    """
    files: list[RuleFile] = []
    problems: list[str] = []
    defined: dict[str, Path] = {}
    for path in dict.fromkeys(path for given in paths for path in _files(given)):
        try:
            definitions = read_definitions(read_text_file(path, "rule file"), str(path), horizons_us)
        except ConfigurationError as error:
            problems += str(error).splitlines()
            continue
        files.append(RuleFile(path, definitions))
        for definition in definitions:
            if holds_card_number(definition.text):
                problems.append(f"{path}, rule {definition.rule.rule_id}: contains a card number; rules must not")
            first = defined.setdefault(definition.rule.rule_id, path)
            if first != path:
                problems.append(f"rule {definition.rule.rule_id} is in {first} and in {path}, expected unique ids")
    if not files and not problems:
        problems.append(f"expected rule files (*.yaml) in {', '.join(map(str, paths))}, got none")
    return files, problems


def horizons(options: Sequence[str]) -> dict[str, int]:
    """How far back each scope's state reaches, microseconds; scopes without option and setting are left out.

    Args:
        options: ``scope=length``, such as ``card=30h``; they override ``CARDWATCH_DETECTOR_HORIZON_<SCOPE>``.

    Raises:
        ConfigurationError: a scope is unknown, or a length is not a duration.
    """
    texts = {}
    for scope in SCOPE_KEYS:
        variable = HORIZON_VARIABLE.format(scope=scope.upper())
        if value := os.environ.get(variable, ""):
            texts[scope] = variable, value
    for option in options:
        scope, equals, value = option.partition("=")
        if not equals or scope not in SCOPE_KEYS:
            raise ConfigurationError(
                f"--horizon: expected a horizon such as card=30h for one of {', '.join(SCOPE_KEYS)}, got `{option}`"
            )
        texts[scope] = f"--horizon {scope}", value
    found = {}
    for scope, (where, text) in texts.items():
        with configuration_errors(where):
            found[scope] = parse_duration(text)
    return found


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    else:
        yield path
