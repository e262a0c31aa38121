"""Rules from YAML, checked: the error of a mistake says file, line, rule, what was expected and what was found."""

import re
from collections import Counter
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any, Final

import yaml
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_units.durations import format_duration, parse_duration
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

from cardwatch_rules.contradictions import Domain, find_contradiction
from cardwatch_rules.fields import FIELD_KINDS, NUMBER_RANGES, PROFILE_KINDS, PROFILE_SCOPE, SCOPE_KEYS, TEXT_VALUES
from cardwatch_rules.measures import measure_domain, measure_kind, parse_aggregate
from cardwatch_rules.model import SUPPRESSION_REACH, Measure, Rule
from cardwatch_rules.needs import reach_us
from cardwatch_rules.rule_text import MeasureText, RuleMistakeError, RuleText, validate_rule_text
from cardwatch_rules.sql import is_name
from cardwatch_rules.type_check import Kind, require_condition
from cardwatch_rules.yaml_document import load_yaml

MAX_MEASURES_PER_RULE: Final = 20
_MAX_NAME_CHARACTERS: Final = 100
_MAX_SENTENCE_CHARACTERS: Final = 3_000

_RULE_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_MEASURE_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_FIELD_DOMAINS: Final = {
    name: Domain(kind, *NUMBER_RANGES.get(name, (-inf, inf)), TEXT_VALUES.get(name))
    for name, kind in FIELD_KINDS.items()
}
_DOMAINS: Final = _FIELD_DOMAINS | {
    name: Domain(kind, low=0) for name, kind in PROFILE_KINDS.items() if kind in {Kind.INTEGER, Kind.DOUBLE}
}


def load_rules(path: Path, horizons_us: Mapping[str, int] | None = None) -> tuple[Rule, ...]:
    """Read and check a rule file.

    Args:
        path: YAML, a list of rules, under ``rules:`` or at the top.
        horizons_us: how far back each scope's state reaches, microseconds; a rule that looks further is an error.

    Raises:
        ConfigurationError: the file or a rule in it is wrong; the message has a line per rule that is wrong, with file,
            line and rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"rule file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"rule file {path} is not UTF-8 text (byte {error.start})") from error
    return parse_rules(text, source=str(path), horizons_us=horizons_us)


def parse_rules(text: str, source: str = "rules", horizons_us: Mapping[str, int] | None = None) -> tuple[Rule, ...]:
    """Check the rules of a text.

    Args:
        text: YAML, a list of rules, under ``rules:`` or at the top.
        source: the name of the text in errors.
        horizons_us: as in ``load_rules``.

    Raises:
        ConfigurationError: as in ``load_rules``.
    """
    rules: list[Rule] = []
    mistakes: list[str] = []
    for item, node in _items(text, source):
        try:
            rules.append(_rule(item, horizons_us or {}))
        except RuleMistakeError as error:
            mistakes.append(_locate(error, item, node, source))
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))
    for rule_id, number in Counter(rule.rule_id for rule in rules).items():
        if number > 1:
            raise ConfigurationError(f"{source} has {number} rules with the id {rule_id}, expected unique ids")
    return tuple(rules)


def _items(text: str, source: str) -> list[tuple[Any, yaml.Node]]:
    (document, node) = load_yaml(text, source)
    if isinstance(document, dict):
        node = next((value for key, value in getattr(node, "value", ()) if key.value == "rules"), None)
        document = document.get("rules")
    if not isinstance(document, list) or not isinstance(node, yaml.SequenceNode):
        raise ConfigurationError(
            f"{source}: expected a list of rules under `rules:`; see config/rules/demo.yaml for the format"
        )
    return list(zip(document, node.value, strict=True))


def _locate(mistake: RuleMistakeError, item: Any, node: yaml.Node, source: str) -> str:
    """The sentence of a mistake, with source, line, rule and the keys that lead to it."""
    rule_id = item.get("id") if isinstance(item, dict) else None
    sentence = ": ".join((*mistake.place, mistake.sentence))
    name = _shorten(str(rule_id or "(without id)"), _MAX_NAME_CHARACTERS)
    return f"{source}, line {_line(node, mistake.place)}, rule {name}: {_shorten(sentence, _MAX_SENTENCE_CHARACTERS)}"


def _shorten(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}… ({len(text)} characters)"


def _line(node: yaml.Node, place: tuple[str, ...]) -> int:
    """The line, from 1, of the entry that the keys of ``place`` lead to, or of the nearest entry above it."""
    line = node.start_mark.line
    for key in place:
        for key_node, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.value == key:
                line, node = key_node.start_mark.line, value
                break
        else:
            break
    return int(line) + 1


def _rule(item: Any, horizons_us: Mapping[str, int]) -> Rule:
    text = validate_rule_text(item)
    if not _RULE_ID.fullmatch(text.id):
        raise RuleMistakeError(("id",), f"expected at most 63 lower-case letters, digits and hyphens, got `{text.id}`")
    if text.scope not in SCOPE_KEYS:
        raise RuleMistakeError(("scope",), f"expected one of {', '.join(SCOPE_KEYS)}, got `{text.scope}`")
    if len(text.measures) > MAX_MEASURES_PER_RULE:
        raise RuleMistakeError(
            ("measures",), f"expected at most {MAX_MEASURES_PER_RULE} measures, got {len(text.measures)}"
        )
    measures = tuple(_measure(name, measure) for name, measure in text.measures.items())
    rule = Rule(
        rule_id=text.id,
        version=text.version,
        title=text.title,
        scope=text.scope,
        severity=text.severity,
        mode=text.mode,
        measures=measures,
        when=text.when,
        suppress_us=None if text.suppress is None else _duration(("suppress",), text.suppress),
        explanation=text.explanation.strip(),
    )
    kinds = FIELD_KINDS | {measure.name: measure_kind(measure) for measure in measures}
    if rule.scope == PROFILE_SCOPE:
        kinds |= PROFILE_KINDS
    _check_condition(("when",), rule.when, kinds, _DOMAINS | {m.name: measure_domain(m) for m in measures})
    _check_horizon(rule, text, horizons_us.get(rule.scope))
    return rule


def _check_horizon(rule: Rule, text: RuleText, horizon_us: int | None) -> None:
    if horizon_us is None or reach_us(rule) <= horizon_us:
        return
    horizon = f"the horizon of the scope {rule.scope} is {format_duration(horizon_us)}"
    looks_back = reach_us(rule) - rule.suppression_reach_us
    longest = max(rule.measures, key=lambda measure: measure.window_us, default=None)
    if longest is not None and longest.window_us > horizon_us:
        raise RuleMistakeError(
            ("measures", longest.name, "window"),
            f"`{text.measures[longest.name].window}` is too long, {horizon}; shorten the window or raise the horizon",
        )
    if rule.suppress_us is None:
        raise RuleMistakeError(("when",), f"a profile looks back 24h, but {horizon}; raise the horizon")
    raise RuleMistakeError(
        ("suppress",),
        f"the longest window ({format_duration(looks_back)}) and seven times `{text.suppress}` are "
        f"{format_duration(reach_us(rule))}, but {horizon}; "
        f"expected at most {max(0, horizon_us - looks_back) // SUPPRESSION_REACH // MICROSECONDS_PER_SECOND}s, "
        "or raise the horizon",
    )


def _measure(name: str, text: MeasureText) -> Measure:
    place = ("measures", name)
    if not _MEASURE_NAME.fullmatch(name) or name in FIELD_KINDS:
        raise RuleMistakeError(
            place,
            "expected a name of lower-case letters, digits and underscores that is not the name of a transaction field",
        )
    if not is_name(name):
        raise RuleMistakeError(place, f"`{name}` is an SQL keyword, expected another name")
    aggregate, field = parse_aggregate((*place, "is"), text.is_)
    if text.where is not None:
        _check_condition((*place, "where"), text.where, FIELD_KINDS, _FIELD_DOMAINS)
    return Measure(name, _duration((*place, "window"), text.window), aggregate, field, text.where)


def _check_condition(
    place: tuple[str, ...], text: str, kinds: Mapping[str, Kind], domains: Mapping[str, Domain]
) -> None:
    try:
        require_condition(text, kinds)
    except ConfigurationError as error:
        raise RuleMistakeError(place, str(error)) from error
    reason = find_contradiction(text, domains)
    if reason is not None:
        raise RuleMistakeError(place, f"this condition can never be true: {reason}")


def _duration(place: tuple[str, ...], text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise RuleMistakeError(place, str(error)) from error
