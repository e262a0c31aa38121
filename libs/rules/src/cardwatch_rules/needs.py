"""What rules need of a transaction and of the past to be evaluated."""

from collections.abc import Sequence
from typing import Final

from cardwatch_units.timestamps import MICROSECONDS_PER_DAY

from cardwatch_rules.fields import PROFILE_KINDS
from cardwatch_rules.model import Aggregate, Rule
from cardwatch_rules.sql import names_in

# Fields that a measure looks at although it names none.
FIELDS_OF: Final = {
    Aggregate.DECLINES: ("status",),
    Aggregate.DISTANCE_KM: ("latitude", "longitude"),
    Aggregate.SPEED_KMH: ("latitude", "longitude"),
}


def fields_used(rules: Sequence[Rule]) -> set[str]:
    """The transaction fields that rules name: what must be in the frame beside group and event time."""
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
    """Whether a rule names a field of the profile: then the frame must have the columns PROFILE_KINDS."""
    return any(names_in(rule.when) & PROFILE_KINDS.keys() for rule in rules)


def reach_us(rule: Rule) -> int:
    """How far back from a transaction decides what becomes of it, microseconds.

    A profile is kept with the transactions of its day, at the day's beginning.
    """
    looks_back = max(rule.longest_window_us, MICROSECONDS_PER_DAY if uses_profiles([rule]) else 0)
    return looks_back + rule.suppression_reach_us
