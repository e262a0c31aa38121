"""The transaction fields and the history that rules need to be evaluated."""

from collections.abc import Sequence
from typing import Final

from cardwatch_units.timestamps import MICROSECONDS_PER_DAY

from cardwatch_rules.fields import PROFILE_KINDS
from cardwatch_rules.model import Aggregate, Rule
from cardwatch_rules.sql import names_in

# The fields of aggregates that are written with ``*``.
FIELDS_OF: Final = {
    Aggregate.DECLINES: ("status",),
    Aggregate.DISTANCE_KM: ("latitude", "longitude"),
    Aggregate.SPEED_KMH: ("latitude", "longitude"),
}


def fields_used(rules: Sequence[Rule]) -> set[str]:
    """The transaction fields that rules use: the columns that the frame needs besides group and event time."""
    fields: set[str] = set()
    for rule in rules:
        fields |= names_in(rule.when) - {measure.name for measure in rule.measures} - PROFILE_KINDS.keys()
        for measure in rule.measures:
            fields.update(FIELDS_OF.get(measure.aggregate, ()))
            if measure.field is not None:
                fields.add(measure.field)
            if measure.where is not None:
                fields |= names_in(measure.where)
    return fields


def uses_profiles(rules: Sequence[Rule]) -> bool:
    """Whether any rule uses a profile; the frame then needs the columns PROFILE_KINDS."""
    return any(names_in(rule.when) & PROFILE_KINDS.keys() for rule in rules)


def reach_us(rule: Rule) -> int:
    """How much history before a transaction decides whether it raises an alert, microseconds.

    A profile counts as an arrival at the beginning of its day.
    """
    looks_back = max(rule.longest_window_us, MICROSECONDS_PER_DAY if uses_profiles([rule]) else 0)
    return looks_back + rule.suppression_reach_us
