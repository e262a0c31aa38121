"""Rules from YAML, checked so that a mistake is one sentence with the rule, the line and what would be right."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_units.durations import format_duration, parse_duration
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cardwatch_rules.fields import FIELD_KINDS, NUMBER_RANGES, PROFILE_KINDS, PROFILE_SCOPE, SCOPE_KEYS, TEXT_VALUES
from cardwatch_rules.model import OF_TRANSACTIONS, Aggregate, Measure, Mode, Rule, Severity
from cardwatch_rules.needs import reach_us
from cardwatch_rules.reach import Domain, never_holds
from cardwatch_rules.sql import Kind, is_name, require_condition

MOST_MEASURES: Final = 20

# The loader in C, where PyYAML was built with it, is ten times as fast.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MEASURE: Final = re.compile(
    r"(?P<function>[a-z_]+)\s*\(\s*(?P<distinct>distinct\s+)?(?P<argument>\*|[a-z_]*)\s*\)", re.I
)
_RULE_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_MEASURE_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_NUMERIC: Final = sorted(name for name, kind in FIELD_KINDS.items() if kind in {Kind.INTEGER, Kind.DOUBLE})
# Sums of doubles depend on the order of the addition, so what sums takes integers only.
_INTEGER: Final = sorted(name for name, kind in FIELD_KINDS.items() if kind is Kind.INTEGER)
_FIELDS_OF: Final = {
    Aggregate.SUM: _INTEGER,
    Aggregate.MEAN: _INTEGER,
    Aggregate.STDDEV: _INTEGER,
    Aggregate.RATIO_TO_MEAN: _INTEGER,
    Aggregate.MIN: _NUMERIC,
    Aggregate.MAX: _NUMERIC,
}
# Said first: a misspelt name explains why another is missing.
_NO_SUCH_ENTRY: Final = "there is no such entry"
_SPELLINGS: Final = ", ".join(
    f"{kind.value}(*)" if kind in OF_TRANSACTIONS else f"{kind.value}(FIELD)"
    for kind in Aggregate
    if kind is not Aggregate.COUNT_DISTINCT
).replace("count(*)", "count(*), count(distinct FIELD)")
_FIELD_DOMAINS: Final = {
    name: Domain(kind, *NUMBER_RANGES.get(name, (-inf, inf)), TEXT_VALUES.get(name))
    for name, kind in FIELD_KINDS.items()
}
_DOMAINS: Final = _FIELD_DOMAINS | {
    name: Domain(kind, low=0) for name, kind in PROFILE_KINDS.items() if kind in {Kind.INTEGER, Kind.DOUBLE}
}


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
    explanation: str = ""
    scope: str
    severity: Severity = Severity.MEDIUM
    mode: Mode = Mode.LIVE
    measures: dict[str, _MeasureText] = {}
    when: str
    suppress: str | None = None


class _MistakeError(Exception):
    """Something is wrong at a place within a rule: the keys that lead to it."""

    def __init__(self, place: tuple[str, ...], sentence: str) -> None:
        super().__init__(sentence)
        self.place = place
        self.sentence = sentence


def load_rules(path: Path, horizons_us: Mapping[str, int] | None = None) -> tuple[Rule, ...]:
    """Read and check a rule file.

    Args:
        path: YAML, a list of rules, under ``rules:`` or at the top.
        horizons_us: how far back each scope's state reaches, microseconds; a rule that looks further is an error.

    Raises:
        ConfigurationError: the file or a rule in it is wrong; the sentence names file, line and rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"rule file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"rule file {path} is no text in UTF-8 (byte {error.start})") from error
    return parse_rules(text, source=str(path), horizons_us=horizons_us)


def parse_rules(text: str, source: str = "rules", horizons_us: Mapping[str, int] | None = None) -> tuple[Rule, ...]:
    """``load_rules`` of a text; ``source`` stands for the file in errors.

    Raises:
        ConfigurationError: as ``load_rules``.
    """
    rules = tuple(_parsed(item, node, source, horizons_us or {}) for item, node in _items(text, source))
    for rule_id, number in Counter(rule.rule_id for rule in rules).items():
        if number > 1:
            raise ConfigurationError(f"{source} has {number} rules with the id {rule_id}; ids are unique")
    return rules


def measure_kind(measure: Measure) -> Kind:
    """What a measure is in a condition."""
    match measure.aggregate:
        case Aggregate.COUNT | Aggregate.COUNT_DISTINCT | Aggregate.DECLINES | Aggregate.SUM:
            return Kind.INTEGER
        case Aggregate.MIN | Aggregate.MAX | Aggregate.FIRST | Aggregate.LAST | Aggregate.PREVIOUS:
            return FIELD_KINDS[measure.field or ""]
        case _:
            return Kind.DOUBLE


def _items(text: str, source: str) -> list[tuple[Any, yaml.Node]]:
    loader = _LOADER(text)
    try:
        node: Any = loader.get_single_node()
        document = loader.construct_document(node) if node is not None else None
    except (yaml.YAMLError, RecursionError) as error:
        hint = "; within {…} a text that holds a comma stands in quotes" if "expected ',' or '}'" in str(error) else ""
        raise ConfigurationError(f"{source} is no YAML: {' '.join(str(error).split())}{hint}") from error
    finally:
        loader.dispose()
    if isinstance(document, dict):
        node = next((value for key, value in node.value if key.value == "rules"), None)
        document = document.get("rules")
    if not isinstance(document, list):
        raise ConfigurationError(f"{source} has no list `rules:`; see config/rules/demo.yaml for the format")
    return list(zip(document, node.value, strict=True))


def _parsed(item: Any, node: yaml.Node, source: str, horizons_us: Mapping[str, int]) -> Rule:
    name = item.get("id") if isinstance(item, dict) else None
    try:
        return _rule(item, horizons_us)
    except _MistakeError as error:
        line = _line(node, error.place)
        said = f"{': '.join((*error.place, error.sentence))}" if error.place else error.sentence
        raise ConfigurationError(f"{source}, line {line}, rule {name or '(without id)'}: {said}") from error


def _line(node: yaml.Node, place: tuple[str, ...]) -> int:
    """The line, from 1, of what stands under the keys of ``place``; of the nearest thing that is there."""
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
    text = _text(item)
    if not _RULE_ID.fullmatch(text.id):
        raise _MistakeError(("id",), f"`{text.id}` may hold only lower-case letters, digits and hyphens (at most 63)")
    if text.scope not in SCOPE_KEYS:
        raise _MistakeError(("scope",), f"`{text.scope}` is no scope; known are {', '.join(SCOPE_KEYS)}")
    if len(text.measures) > MOST_MEASURES:
        raise _MistakeError(
            ("measures",), f"a rule has at most {MOST_MEASURES} measures; this one has {len(text.measures)}"
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
    _check_condition(("when",), rule.when, kinds, _DOMAINS | {m.name: _domain(m) for m in measures})
    _check_horizon(rule, text, horizons_us.get(rule.scope))
    return rule


def _text(item: Any) -> _RuleText:
    try:
        return _RuleText.model_validate(item)
    except ValidationError as error:
        (place, first), *others = sorted(_problems(error), key=lambda problem: _NO_SUCH_ENTRY not in problem[1])
        sentence = "; ".join([first, *(": ".join((*where, other)) for where, other in others)])
        raise _MistakeError(place, sentence) from error


def _problems(error: ValidationError) -> Iterator[tuple[tuple[str, ...], str]]:
    for problem in error.errors(include_url=False):
        place = tuple(str(part) for part in problem["loc"])
        match problem["type"]:
            case "missing":
                yield place[:-1], f"`{place[-1]}` is missing"
            case "extra_forbidden":
                model = _MeasureText if place[:1] == ("measures",) else _RuleText
                known = ", ".join(field.alias or name for name, field in model.model_fields.items())
                yield place, f"{_NO_SUCH_ENTRY}; known are {known}"
            case "model_type" | "model_attributes_type":
                yield place, "a mapping of names to values would be right"
            case _:
                yield place, str(problem["msg"])


def _check_horizon(rule: Rule, text: _RuleText, horizon_us: int | None) -> None:
    if horizon_us is None or reach_us(rule) <= horizon_us:
        return
    keeps = f"the scope {rule.scope} keeps {format_duration(horizon_us)}"
    looks_back = reach_us(rule) - rule.suppression_reach_us
    longest = max(rule.measures, key=lambda measure: measure.window_us, default=None)
    if longest is not None and longest.window_us > horizon_us:
        raise _MistakeError(
            ("measures", longest.name, "window"),
            f"`{text.measures[longest.name].window}` is longer than what {keeps}; shorten it or raise the horizon",
        )
    if rule.suppress_us is None:
        raise _MistakeError(("when",), f"a profile looks back 24h, but {keeps}; raise the horizon")
    raise _MistakeError(
        ("suppress",),
        f"the longest window ({format_duration(looks_back)}) and seven times `{text.suppress}` are "
        f"{format_duration(reach_us(rule))}, but {keeps}; "
        f"at most {max(0, horizon_us - looks_back) // 7_000_000}s would be right, or a higher horizon",
    )


def _measure(name: str, text: _MeasureText) -> Measure:
    place = ("measures", name)
    if not _MEASURE_NAME.fullmatch(name) or name in FIELD_KINDS:
        raise _MistakeError(
            place, "a measure's name holds lower-case letters, digits and underscores, and is no transaction field's"
        )
    if not is_name(name):
        raise _MistakeError(place, f"`{name}` is a word of SQL; another name would be right")
    aggregate, field = _aggregate((*place, "is"), text.is_)
    if text.where is not None:
        _check_condition((*place, "where"), text.where, FIELD_KINDS, _FIELD_DOMAINS)
    return Measure(name, _duration((*place, "window"), text.window), aggregate, field, text.where)


def _aggregate(place: tuple[str, ...], text: str) -> tuple[Aggregate, str | None]:
    match = _MEASURE.fullmatch(text.strip())
    function = match["function"].lower() if match else ""
    if match is None or function not in set(Aggregate):
        raise _MistakeError(place, f"`{text}` is no measure; one of {_SPELLINGS} would be right")
    argument, distinct = match["argument"].lower(), bool(match["distinct"])
    if distinct and function != "count":
        raise _MistakeError(place, "only count takes `distinct`")
    aggregate = Aggregate.COUNT_DISTINCT if distinct else Aggregate(function)
    if aggregate in OF_TRANSACTIONS:
        if argument not in {"*", ""}:
            instead = f"; count(distinct {argument})?" if aggregate is Aggregate.COUNT else ""
            raise _MistakeError(place, f"{function} is of whole transactions: {function}(*) would be right{instead}")
        return aggregate, None
    allowed = _FIELDS_OF.get(aggregate, sorted(FIELD_KINDS))
    if argument not in allowed:
        what = "there is no field" if argument not in FIELD_KINDS else f"{function} cannot take"
        raise _MistakeError(place, f"{what} `{argument or '(nothing)'}`; it takes one of {', '.join(allowed)}")
    return aggregate, argument


def _check_condition(
    place: tuple[str, ...], text: str, kinds: Mapping[str, Kind], domains: Mapping[str, Domain]
) -> None:
    try:
        require_condition(text, kinds)
    except ConfigurationError as error:
        raise _MistakeError(place, str(error)) from error
    reason = never_holds(text, domains)
    if reason is not None:
        raise _MistakeError(place, f"this can never hold: {reason}")


def _domain(measure: Measure) -> Domain:
    kind = measure_kind(measure)
    match measure.aggregate:
        case Aggregate.COUNT | Aggregate.DECLINES | Aggregate.COUNT_DISTINCT:
            # Without a condition, the transaction itself is always counted.
            itself = measure.aggregate is Aggregate.COUNT and measure.where is None
            return Domain(kind, low=1 if itself else 0)
        case Aggregate.MIN | Aggregate.MAX | Aggregate.FIRST | Aggregate.LAST | Aggregate.PREVIOUS | Aggregate.MEAN:
            low, high = NUMBER_RANGES.get(measure.field or "", (-inf, inf))
            return Domain(kind, low, high, TEXT_VALUES.get(measure.field or ""))
        case Aggregate.SUM | Aggregate.RATIO_TO_MEAN:
            return Domain(kind, low=0 if NUMBER_RANGES.get(measure.field or "", (-1, 0))[0] >= 0 else -inf)
        case _:
            return Domain(kind, low=0)


def _duration(place: tuple[str, ...], text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise _MistakeError(place, str(error)) from error
