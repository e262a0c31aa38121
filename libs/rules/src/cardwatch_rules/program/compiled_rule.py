"""Rules compiled: their conditions as instructions, and what else an engine needs to evaluate them."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cardwatch_rules.fields import PROFILE_FIELDS, PROFILE_SCOPE, profile_name
from cardwatch_rules.measures import measure_kind
from cardwatch_rules.model import Aggregate, Measure, Rule
from cardwatch_rules.needs import uses_profiles
from cardwatch_rules.program.condition import FIELDS, compile_condition, compile_where
from cardwatch_rules.program.instructions import Expression, Op
from cardwatch_rules.sql import lists_in
from cardwatch_rules.type_check import Kind

_PROFILES: Final = {
    profile_name(field): Expression(Op.PROFILE, kind, value=field) for field, kind in PROFILE_FIELDS.items()
}
_DECLINED: Final = compile_where("status = 'declined'")


@dataclass(frozen=True, slots=True)
class CompiledMeasure:
    """A measure of a rule.

    Attributes:
        measure: as the rule has it.
        type: the type of its values.
        aggregate: what is computed: that of the measure, but COUNT for DECLINES.
        where: for which transactions of the window; None for all. That of DECLINES demands declined ones.
    """

    measure: Measure
    type: Kind
    aggregate: Aggregate
    where: Expression | None


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule whose conditions are compiled.

    Attributes:
        rule: the rule.
        measures: its measures; MEASURE instructions name them by position.
        when: for which transactions it hits.
        lists: the names of the lists that its conditions use, sorted.
        uses_profile: whether its condition names a profile.
    """

    rule: Rule
    measures: tuple[CompiledMeasure, ...]
    when: Expression
    lists: tuple[str, ...]
    uses_profile: bool


@lru_cache(maxsize=4_096)
def compile_measure(measure: Measure) -> CompiledMeasure:
    """Compile a measure of a checked rule.

    Raises:
        ConfigurationError: its condition uses something that rules may not use.
    """
    where = None if measure.where is None else compile_where(measure.where)
    aggregate = measure.aggregate
    if aggregate is Aggregate.DECLINES:
        aggregate = Aggregate.COUNT
        where = _DECLINED if where is None else Expression(Op.AND, Kind.BOOLEAN, (where, _DECLINED))
    return CompiledMeasure(measure, measure_kind(measure), aggregate, where)


@lru_cache(maxsize=4_096)
def compile_rule(rule: Rule) -> CompiledRule:
    """Compile a checked rule.

    Raises:
        ConfigurationError: a condition uses something that rules may not use.
    """
    measures = tuple(compile_measure(measure) for measure in rule.measures)
    names = FIELDS | {
        one.measure.name: Expression(Op.MEASURE, one.type, value=index) for index, one in enumerate(measures)
    }
    if rule.scope == PROFILE_SCOPE:
        names |= _PROFILES
    when = compile_condition(rule.when, names)
    texts = [rule.when, *(measure.where for measure in rule.measures if measure.where is not None)]
    lists = sorted(frozenset[str]().union(*(lists_in(text) for text in texts)))
    return CompiledRule(rule, measures, when, tuple(lists), uses_profiles([rule]))
