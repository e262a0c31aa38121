"""Reads a rule file as far as its SQL needs it; whether a rule is allowed is checked elsewhere."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from cardwatch_oracle.errors import OracleError

KEY_OF_SCOPE: Final = {
    "card": "card_token",
    "merchant": "merchant_id",
    "device": "device_id",
    "ip": "ip_address",
    "bin": "card_bin",
}
MODES: Final = ("live", "shadow", "paused")

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION: Final = re.compile(r"([1-9][0-9]*)\s*([smhd])")
_MEASURE: Final = re.compile(r"([a-z_]+)\s*\(\s*(?:(distinct)\s+)?(\*|[a-z_][a-z0-9_]*)\s*\)", re.IGNORECASE)
# Functions of the whole transaction, `f(*)`, with the fields that they use nevertheless.
_OF_TRANSACTION: Final = {
    "count": (),
    "declines": ("status",),
    "seconds_since_previous": (),
    "distance_km": ("latitude", "longitude"),
    "speed_kmh": ("latitude", "longitude"),
}
_OF_FIELD: Final = ("sum", "mean", "min", "max", "stddev", "ratio_to_mean", "first", "last", "previous")
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)
_SQL_WORD: Final = re.compile(r"'(?:[^']|'')*'|([a-z_][a-z0-9_]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Measure:
    """One number over the window `(t − window_us, t]` of the rule's key.

    `function` is that of the rule, or count_distinct; `fields` are the fields that it uses, its argument first, none
    for `count(*)`; `where` is a condition on a transaction's fields, or None for every transaction. `window_us` is in
    microseconds.
    """

    name: str
    function: str
    fields: tuple[str, ...]
    window_us: int
    where: str | None


@dataclass(frozen=True)
class Rule:
    """A rule as the oracle needs it.

    `when` is a condition on a transaction's fields and the measures' names; `suppress_us`, in microseconds, is None
    if every hit raises an alert.
    """

    rule_id: str
    version: int
    scope: str
    mode: str
    measures: tuple[Measure, ...]
    when: str
    suppress_us: int | None

    @property
    def key(self) -> str:
        """Field whose equal values share a window."""
        return KEY_OF_SCOPE[self.scope]

    def names(self) -> frozenset[str]:
        """Every word, in lower case, that may be a field's name: a superset of the fields that the rule uses."""
        texts = [self.when, *(measure.where for measure in self.measures if measure.where)]
        words = {word.lower() for text in texts for word in _SQL_WORD.findall(text) if word}
        return frozenset(words | {field.lower() for measure in self.measures for field in measure.fields} | {self.key})


def read_rules(path: Path) -> list[Rule]:
    """The rules of a file, paused ones included.

    Raises OracleError if the file cannot be read or contains something that has no SQL.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OracleError(f"the rule file {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:
        raise OracleError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    entries = document.get("rules") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise OracleError(f"{path}: expected a list of rules, at the top level or named `rules`")
    rules = [_rule(entry, f"{path.name}, rule {position}") for position, entry in enumerate(entries, start=1)]
    identities = [(rule.rule_id, rule.version) for rule in rules]
    for identity in identities:
        if identities.count(identity) > 1:
            raise OracleError(f"{path.name} contains rule {identity[0]} version {identity[1]} more than once")
    return rules


def duration_us(text: object) -> int:
    """Microseconds in `90s`, `10m`, `24h` or `7d`; raises OracleError for anything else."""
    found = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise OracleError(f"{text!r}: expected a duration, a whole number and s, m, h or d, such as 10m")
    return int(found[1]) * _UNIT_SECONDS[found[2]] * 1_000_000


def _rule(entry: Any, where: str) -> Rule:
    if not isinstance(entry, dict):
        raise OracleError(f"{where}: expected a mapping with id, scope and when")
    rule_id = _text(entry, "id", where)
    where = f"rule {rule_id}"
    version = entry.get("version", 1)
    if not isinstance(version, int) or isinstance(version, bool):
        raise OracleError(f"{where}: version must be a whole number, not {version!r}")
    scope = _text(entry, "scope", where)
    if scope not in KEY_OF_SCOPE:
        raise OracleError(f"{where}: scope must be one of {', '.join(KEY_OF_SCOPE)}, not {scope}")
    mode = entry.get("mode", "live")
    if mode not in MODES:
        raise OracleError(f"{where}: mode must be one of {', '.join(MODES)}, not {mode!r}")
    measures = entry.get("measures") or {}
    if not isinstance(measures, dict):
        raise OracleError(f"{where}: measures must map names to windows")
    return Rule(
        rule_id=rule_id,
        version=version,
        scope=scope,
        mode=mode,
        measures=tuple(_measure(name, measure, where) for name, measure in measures.items()),
        when=_text(entry, "when", where),
        suppress_us=_length(entry, "suppress", where) if entry.get("suppress") is not None else None,
    )


def _measure(name: Any, entry: Any, where: str) -> Measure:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise OracleError(f"{where}: expected a measure's name of letters, digits and _, got {name!r}")
    where = f"{where}, measure {name}"
    if not isinstance(entry, dict):
        raise OracleError(f"{where}: expected a mapping with window and is")
    expression = _text(entry, "is", where)
    function, fields = _call(expression.strip(), where)
    return Measure(
        name=name,
        function=function,
        fields=fields,
        window_us=_length(entry, "window", where),
        where=_text(entry, "where", where) if entry.get("where") is not None else None,
    )


def _call(expression: str, where: str) -> tuple[str, tuple[str, ...]]:
    """Function and fields of a measure's `is`."""
    found = _MEASURE.fullmatch(expression)
    function, distinct, argument = (found[1].lower(), bool(found[2]), found[3]) if found else ("", False, "")
    if function == "count" and distinct and argument != "*":
        return "count_distinct", (argument,)
    if function in _OF_TRANSACTION and not distinct and argument == "*":
        return function, _OF_TRANSACTION[function]
    if function in _OF_FIELD and not distinct and argument != "*":
        return function, (argument,)
    raise OracleError(
        f"{where}: expected count(distinct FIELD), one of {', '.join(_OF_TRANSACTION)} with (*), or one of "
        f"{', '.join(_OF_FIELD)} with (FIELD), got {expression!r}"
    )


def _length(entry: dict[Any, Any], name: str, where: str) -> int:
    try:
        return duration_us(entry.get(name))
    except OracleError as error:
        raise OracleError(f"{where}: {name} {error}") from error


def _text(entry: dict[Any, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise OracleError(f"{where}: {name} must be text, not {value!r}")
    return value
