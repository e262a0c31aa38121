"""Random rules over the whole language, and what may change about them between two micro-batches."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cardwatch_rules.fields import FIELD_KINDS, PROFILE_KINDS, PROFILE_SCOPE, SCOPE_KEYS
from cardwatch_rules.measures import measure_kind
from cardwatch_rules.model import OF_TRANSACTIONS, Aggregate, Measure, Mode, Rule, Severity
from cardwatch_rules.type_check import Kind

from support.random_conditions import LISTS, ConditionGenerator

SECOND: Final = 1_000_000
_WINDOWS: Final = (1, 1, 2, 5, 10, 20, 60, 100)
_SUPPRESS: Final = (None, None, 1, 2, 5, 10, 30)
_SUMMED: Final = {Aggregate.SUM, Aggregate.MEAN, Aggregate.STDDEV, Aggregate.RATIO_TO_MEAN}
_LIST_VALUES: Final = ("DE", "m1", "de", "pos", "A1", "a'b", "", "😀x")

Lists = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of some micro-batches, paused ones included, and the lists that they use."""

    rules: tuple[Rule, ...]
    lists: Lists

    @property
    def evaluated(self) -> list[Rule]:
        """Those that are not paused."""
        return [rule for rule in self.rules if rule.mode is not Mode.PAUSED]

    def write(self, file: Path) -> None:
        """Write the rules as a rule file."""
        file.write_text(json.dumps({"rules": [_document(rule) for rule in self.rules]}, ensure_ascii=False))


def fields_of(aggregate: Aggregate) -> list[str]:
    """The fields that an aggregate can take."""
    if aggregate in _SUMMED:
        return [name for name, kind in FIELD_KINDS.items() if kind is Kind.INTEGER]
    if aggregate in {Aggregate.MIN, Aggregate.MAX}:
        return [name for name, kind in FIELD_KINDS.items() if kind is not Kind.TEXT]
    return list(FIELD_KINDS)


def random_measure(chance: ConditionGenerator, name: str, windows_us: Sequence[int]) -> Measure:
    """A measure whose condition, if it has one, names what the generator's conditions name."""
    aggregate = chance.choice(list(Aggregate))
    field = None if aggregate in OF_TRANSACTIONS else chance.choice(fields_of(aggregate))
    where = chance.rule_condition() if chance.randrange(2) else None
    return Measure(name, chance.choice(windows_us), aggregate, field, where)


def random_rules(chance: ConditionGenerator, number: int, *, profiled: bool) -> RuleSet:
    """Rules of random scopes."""
    rules = tuple(random_rule(chance, f"rule-{at}", 1, profiled=profiled) for at in range(number))
    return RuleSet(rules, LISTS)


def random_rule(chance: ConditionGenerator, rule_id: str, version: int, *, profiled: bool) -> Rule:
    """A rule; one in four has a condition that is random and nothing else, which often holds always or never."""
    scope = PROFILE_SCOPE if profiled and chance.randrange(2) else chance.choice(list(SCOPE_KEYS))
    windows = [seconds * SECOND for seconds in _WINDOWS]
    measures = tuple(random_measure(chance, f"m{at}", windows) for at in range(chance.randrange(4)))
    kinds = {measure.name: measure_kind(measure) for measure in measures}
    names = {**FIELD_KINDS, **kinds, **(PROFILE_KINDS if profiled and scope == PROFILE_SCOPE else {})}
    generator = ConditionGenerator(chance.randrange(2**32), tame=chance.tame, names=names)
    any_condition = generator.rule_condition()
    when = any_condition
    if kinds and chance.randrange(4):
        some = _threshold(chance, kinds)
        when = chance.choice([some, f"{some} and ({any_condition})", f"{some} or ({any_condition})"])
    suppress = chance.choice(_SUPPRESS)
    return Rule(
        rule_id=rule_id,
        version=version,
        title="t",
        scope=scope,
        severity=Severity.LOW,
        mode=chance.choice([Mode.LIVE, Mode.LIVE, Mode.SHADOW, Mode.LIVE, Mode.PAUSED]),
        measures=measures,
        when=when,
        suppress_us=None if suppress is None else suppress * SECOND,
    )


def changed(chance: ConditionGenerator, before: RuleSet, *, profiled: bool) -> RuleSet:
    """Other rules: one is changed, paused or resumed, added or removed, or a list has other values."""
    rules, lists = list(before.rules), dict(before.lists)
    at = chance.randrange(len(rules))
    match chance.randrange(6):
        case 0:
            rules[at] = random_rule(chance, rules[at].rule_id, rules[at].version + 1, profiled=profiled)
        case 1:
            rules[at] = replace(rules[at], mode=chance.choice(list(Mode)))
        case 2:
            rules.append(random_rule(chance, f"added-{len(rules)}", 1, profiled=profiled))
        case 3 if len(rules) > 1:
            del rules[at]
        case 4:
            rules.reverse()
        case _:
            lists["known"] = frozenset(chance.sample(_LIST_VALUES, 3))
    return RuleSet(tuple(rules), lists)


def _threshold(chance: ConditionGenerator, kinds: Mapping[str, Kind]) -> str:
    name = chance.choice(list(kinds))
    if kinds[name] is Kind.TEXT:
        other = chance.choice(["country", "'DE'", "merchant_id"])
        return f"{name} {chance.choice(['=', '<>'])} {other}"
    return f"{name} {chance.choice(['>=', '>=', '<', '<>'])} {chance.choice([1, 2, 2, 3, 0, -3, 5, 0.5, 20])}"


def _document(rule: Rule) -> dict[str, Any]:
    measures = {
        measure.name: {
            "window": f"{measure.window_us // SECOND}s",
            "is": measure.expression,
            **({} if measure.where is None else {"where": measure.where}),
        }
        for measure in rule.measures
    }
    document = {
        "id": rule.rule_id, "version": rule.version, "title": rule.title, "scope": rule.scope,
        "severity": rule.severity.value, "mode": rule.mode.value, "when": rule.when,
    }  # fmt: skip
    if measures:
        document["measures"] = measures
    if rule.suppress_us is not None:
        document["suppress"] = f"{rule.suppress_us // SECOND}s"
    return document
