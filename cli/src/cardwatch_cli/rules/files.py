"""Rule files that a person names on the command line, checked as a whole."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cardwatch_card_numbers.detection import find_card_numbers
from cardwatch_contracts.errors import ConfigurationError, configuration_errors
from cardwatch_rulebook.definitions import Definition, read_definitions
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_units.durations import parse_duration

# The detector's own setting: where it is set, rules are checked against it.
HORIZON_VARIABLE: Final = "CARDWATCH_DETECTOR_HORIZON_{scope}"

_SUFFIXES: Final = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One file and the rules in it."""

    path: Path
    definitions: tuple[Definition, ...]


def read_rule_files(paths: Sequence[Path], horizons_us: Mapping[str, int]) -> tuple[list[RuleFile], list[str]]:
    """The files that are right, and one sentence for each that is not.

    Args:
        paths: files, and directories of ``*.yaml`` and ``*.yml`` at any depth.
        horizons_us: how far back each scope's state reaches, microseconds.
    """
    files: list[RuleFile] = []
    problems: list[str] = []
    defined: dict[str, Path] = {}
    for path in dict.fromkeys(path for given in paths for path in _files(given)):
        try:
            definitions = read_definitions(_text(path), str(path), horizons_us)
        except ConfigurationError as error:
            problems.append(str(error))
            continue
        files.append(RuleFile(path, definitions))
        for definition in definitions:
            if find_card_numbers(definition.text):
                problems.append(
                    f"{path}, rule {definition.rule.rule_id}: it holds a card number, which must never be kept"
                )
            first = defined.setdefault(definition.rule.rule_id, path)
            if first != path:
                problems.append(f"rule {definition.rule.rule_id} is in {first} and in {path}; ids are unique")
    if not files and not problems:
        problems.append(f"there is no rule file (*.yaml) in {', '.join(map(str, paths))}")
    return files, problems


def horizons(options: Sequence[str]) -> dict[str, int]:
    """How far back each scope's state reaches, microseconds; scopes of which nothing is known are left out.

    Args:
        options: ``scope=length``, such as ``card=30h``; they override ``CARDWATCH_DETECTOR_HORIZON_<SCOPE>``.

    Raises:
        ConfigurationError: there is no such scope, or a length is written otherwise.
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
                f"`{option}` is no horizon; card=30h would be right, for one of {', '.join(SCOPE_KEYS)}"
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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"rule file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"rule file {path} is no text in UTF-8 (byte {error.start})") from error
