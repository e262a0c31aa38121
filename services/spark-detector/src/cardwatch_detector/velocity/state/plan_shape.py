"""What a query's plan hands to the evaluation: how far back, and which fields.

A plan is fixed while its query runs, rules are not. So a plan is made with room: rules that fit are taken with the next
micro-batch; for one that does not, the query starts again from its checkpoint with a larger plan (a second or two), and
until then the others go on without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cardwatch_contracts.values import SHOWN_FIELDS
from cardwatch_rules.fields import RULE_FIELDS
from cardwatch_rules.model import Rule
from cardwatch_rules.needs import fields_used, reach_us

from cardwatch_detector.velocity.rules.rule_set import RuleSet

# Fields that alerts and metrics need of a transaction, whatever the rules.
_ALWAYS: Final = frozenset({*SHOWN_FIELDS, "raw_broker_time"})
# Room for rules to come. A card makes few transactions, so there all that is kept can be handed over; of what is
# touched often, such as a merchant, many transactions come in this time.
_SPARSE: Final = frozenset({"card"})
_ROOM_US: Final = 600_000_000


@dataclass(frozen=True, slots=True)
class PlanShape:
    """What a plan hands over.

    Attributes:
        reach_us: scope → how far back from an arrival, microseconds.
        fields: of each transaction.
    """

    reach_us: Mapping[str, int]
    fields: frozenset[str]

    def fits(self, rule: Rule) -> bool:
        """Whether a rule finds all that it needs."""
        return reach_us(rule) <= self.reach_us[rule.scope] and fields_used([rule]) <= self.fields

    def part_of(self, rule_set: RuleSet) -> RuleSet:
        """The rules that find all that they need."""
        fitting = tuple(rule for rule in rule_set.rules if self.fits(rule))
        return rule_set if len(fitting) == len(rule_set.rules) else RuleSet(fitting, rule_set.lists)


def shape_for(rule_set: RuleSet, horizons_us: Mapping[str, int], *, roomy: bool) -> PlanShape:
    """A shape into which all rules fit.

    Args:
        horizons_us: scope → how far back its state reaches, microseconds: a shape never reaches further.
        roomy: with room for rules to come; else only with what the rules use.
    """
    reach = {scope: max((reach_us(rule) for rule in rule_set.of_scope(scope)), default=1) for scope in horizons_us}
    if roomy:
        reach = {scope: horizons_us[scope] if scope in _SPARSE else _rounded(us) for scope, us in reach.items()}
    reach = {scope: min(us, horizons_us[scope]) for scope, us in reach.items()}
    fields = set(RULE_FIELDS) if roomy else fields_used(rule_set.rules)
    return PlanShape(reach, frozenset(fields | _ALWAYS))


def _rounded(needed_us: int) -> int:
    """The next step, of ten minutes times a power of two."""
    reach = _ROOM_US
    while reach < needed_us:
        reach *= 2
    return reach
