"""Rules from a YAML file, checked so that a mistake is one sentence with the rule and the line."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import polars as pl
import yaml
from cardwatch_contracts.errors import ConfigurationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cardwatch_rules.expressions import check_condition
from cardwatch_rules.fields import RULE_FIELDS, SCOPE_KEYS, polars_schema
from cardwatch_rules.model import MICROSECONDS, Aggregate, Measure, Mode, Rule, Severity

_DURATION: Final = re.compile(r"(\d+)\s*([smhd])")
_MEASURE: Final = re.compile(
    r"(?P<function>[a-z]+)\s*\(\s*(?P<distinct>distinct\s+)?(?P<argument>\*|[a-z_]+)\s*\)", re.I
)
_RULE_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_MEASURE_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_NUMERIC: Final = frozenset(name for name, kind in RULE_FIELDS.items() if str(kind) in {"int32", "int64", "double"})
# Sums of doubles depend on the order of the addition, so sum and mean take integers only.
_INTEGER: Final = frozenset(name for name, kind in RULE_FIELDS.items() if str(kind) in {"int32", "int64"})


class _MeasureText(BaseModel):
    model_config = ConfigDict(extra="forbid")
    window: str
    is_: Annotated[str, Field(alias="is")]
    where: str | None = None


class _RuleText(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    version: Annotated[int, Field(ge=1)] = 1
    title: str
    scope: str
    severity: Severity = Severity.MEDIUM
    mode: Mode = Mode.LIVE
    measures: dict[str, _MeasureText]
    when: str


def load_rules(path: Path, horizons_us: Mapping[str, int] | None = None) -> tuple[Rule, ...]:
    """Read and check a rule file.

    Args:
        path: YAML, ``rules:`` and a list.
        horizons_us: how far back each scope's state reaches, microseconds; a longer window is an error.

    Raises:
        ConfigurationError: the file or a rule in it is wrong; the sentence names file, line and rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"rule file {path} cannot be read: {error.strerror}") from error
    return parse_rules(text, source=str(path), horizons_us=horizons_us)


def parse_rules(text: str, source: str = "rules", horizons_us: Mapping[str, int] | None = None) -> tuple[Rule, ...]:
    """``load_rules`` of a text; ``source`` stands for the file in errors.

    Raises:
        ConfigurationError: as ``load_rules``.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
        raise ConfigurationError(f"{source} has no list `rules:`; see config/rules/demo.yaml for the format")
    lines = _lines_of_rules(node)
    rules = []
    for item, line in zip(document["rules"], lines, strict=True):
        name = item.get("id") if isinstance(item, dict) else None
        try:
            rules.append(_rule(item, horizons_us or {}))
        except ConfigurationError as error:
            raise ConfigurationError(f"{source}, line {line}, rule {name or '(without id)'}: {error}") from error
    for rule_id, number in Counter(rule.rule_id for rule in rules).items():
        if number > 1:
            raise ConfigurationError(f"{source} has {number} rules with the id {rule_id}; ids are unique")
    return tuple(rules)


def parse_duration(text: str) -> int:
    """A length of time such as ``90s``, ``10m``, ``24h`` or ``7d``, in microseconds.

    Raises:
        ConfigurationError: it is written otherwise, or zero.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ConfigurationError(f"`{text}` is no length of time; 90s, 10m, 24h or 7d would be right")
    return int(match[1]) * MICROSECONDS[match[2]]


def _rule(item: Any, horizons_us: Mapping[str, int]) -> Rule:
    try:
        text = _RuleText.model_validate(item)
    except ValidationError as error:
        problems = (
            f"{'.'.join(str(part) for part in problem['loc']) or 'the rule'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise ConfigurationError("; ".join(problems)) from error
    if not _RULE_ID.fullmatch(text.id):
        raise ConfigurationError(
            f"the id `{text.id}` may hold only lower-case letters, digits and hyphens (at most 63)"
        )
    if text.scope not in SCOPE_KEYS:
        raise ConfigurationError(f"unknown scope `{text.scope}`; known are {', '.join(SCOPE_KEYS)}")
    if not text.measures:
        raise ConfigurationError("a rule needs at least one measure")
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
    )
    horizon_us = horizons_us.get(rule.scope)
    if horizon_us is not None and rule.longest_window_us > horizon_us:
        raise ConfigurationError(
            f"its longest window is {rule.longest_window_us / 1e6:.0f} s, but the scope {rule.scope} keeps only "
            f"{horizon_us / 1e6:.0f} s; shorten the window or raise the scope's horizon"
        )
    check_condition(rule.when, polars_schema() | {measure.name: measure_type(measure) for measure in measures})
    return rule


def _measure(name: str, text: _MeasureText) -> Measure:
    if not _MEASURE_NAME.fullmatch(name) or name in RULE_FIELDS:
        raise ConfigurationError(
            f"measure `{name}`: a name has lower-case letters, digits and underscores and is no transaction field"
        )
    match = _MEASURE.fullmatch(text.is_.strip())
    function = match["function"].lower() if match else ""
    if match is None or function not in {"count", "sum", "mean", "min", "max"}:
        raise ConfigurationError(
            f"measure {name}: `{text.is_}` is no measure; count(*), count(distinct FIELD), sum(FIELD), mean(FIELD), "
            "min(FIELD) or max(FIELD) would be right"
        )
    argument, distinct = match["argument"], bool(match["distinct"])
    aggregate = Aggregate.COUNT_DISTINCT if distinct else Aggregate(function)
    if distinct and function != "count":
        raise ConfigurationError(f"measure {name}: only count takes `distinct`")
    if argument == "*" and aggregate is not Aggregate.COUNT:
        raise ConfigurationError(f"measure {name}: only count takes `*`; {function}(FIELD) would be right")
    if argument != "*" and argument not in RULE_FIELDS:
        raise ConfigurationError(
            f"measure {name}: there is no field `{argument}`; known are {', '.join(sorted(RULE_FIELDS))}"
        )
    if aggregate in {Aggregate.SUM, Aggregate.MEAN} and argument not in _INTEGER:
        raise ConfigurationError(f"measure {name}: {function} takes one of {', '.join(sorted(_INTEGER))}")
    if aggregate in {Aggregate.MIN, Aggregate.MAX} and argument not in _NUMERIC:
        raise ConfigurationError(f"measure {name}: {function} takes one of {', '.join(sorted(_NUMERIC))}")
    if text.where is not None:
        try:
            check_condition(text.where, polars_schema())
        except ConfigurationError as error:
            raise ConfigurationError(f"measure {name}: {error}") from error
    try:
        window_us = parse_duration(text.window)
    except ConfigurationError as error:
        raise ConfigurationError(f"measure {name}: window {error}") from error
    return Measure(name, window_us, aggregate, None if argument == "*" else argument, text.where)


def measure_type(measure: Measure) -> pl.DataType:
    """The type that a measure has in a condition."""
    match measure.aggregate:
        case Aggregate.COUNT | Aggregate.COUNT_DISTINCT | Aggregate.SUM:
            return pl.Int64()
        case Aggregate.MEAN:
            return pl.Float64()
        case Aggregate.MIN | Aggregate.MAX:
            return pl.Float64() if str(RULE_FIELDS[measure.field or ""]) == "double" else pl.Int64()


def _lines_of_rules(node: yaml.Node | None) -> list[int]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "rules" and isinstance(value, yaml.SequenceNode):
                return [item.start_mark.line + 1 for item in value.value]
    return []
