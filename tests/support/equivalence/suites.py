"""Suites: histories and the rules that all of them are evaluated by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cardwatch_rules.fields import FIELD_KINDS, PROFILE_SCOPE, SCOPE_KEYS

from support.equivalence.histories import DAY, MOST_SHIFTED_US, History, random_history
from support.equivalence.rule_sets import SECOND, RuleSet, changed, random_rules
from support.random_conditions import ConditionGenerator

_RULES: Final = 6
_LATENESS_US: Final = tuple(seconds * SECOND for seconds in (2, 20, 100, 400))


@dataclass(frozen=True, slots=True)
class Suite:
    """Histories that the same rules are evaluated over.

    Attributes:
        used: for each micro-batch the position of its rule set.
        horizons: scope → microseconds.
    """

    histories: Sequence[History]
    rule_sets: Sequence[RuleSet]
    used: Sequence[int]
    horizons: Mapping[str, int]

    def without(self, rule_id: str) -> "Suite":
        """The suite without a rule."""
        rule_sets = [
            RuleSet(tuple(rule for rule in one.rules if rule.rule_id != rule_id), one.lists) for one in self.rule_sets
        ]
        return replace(self, rule_sets=rule_sets)


def random_suite(seed: int, histories: int, *, tame: bool) -> Suite:
    """A suite of a seed; tame ones have nothing of which DuckDB has an opinion of its own."""
    chance = ConditionGenerator(seed, tame=tame, names=FIELD_KINDS)
    profiled, batches, lateness = chance.randrange(3) == 0, chance.randrange(2, 8), chance.choice(_LATENESS_US)
    rule_sets = [random_rules(chance, _RULES, profiled=profiled)]
    used = [0]
    for _ in range(batches - 1):
        if chance.randrange(6) == 0:
            rule_sets.append(changed(chance, rule_sets[-1], profiled=profiled))
        used.append(len(rule_sets) - 1)
    made = [random_history(chance, f"{at:03}", batches, lateness, profiled=profiled) for at in range(histories)]
    spare = chance.choice([0, 0, 1, 100]) * SECOND
    horizons = {scope: _horizon(scope, rule_sets) + spare for scope in SCOPE_KEYS}
    if profiled:
        # Where a profile comes so late that something that decides is gone, what stands depends on when it came.
        horizons[PROFILE_SCOPE] = 10 * DAY
    return Suite(made, rule_sets, used, horizons)


def _horizon(scope: str, rule_sets: Sequence[RuleSet]) -> int:
    rules = [rule for one in rule_sets for rule in one.rules if rule.scope == scope]
    reach = [rule.longest_window_us + rule.suppression_reach_us for rule in rules]
    return max([*reach, MOST_SHIFTED_US + SECOND])
