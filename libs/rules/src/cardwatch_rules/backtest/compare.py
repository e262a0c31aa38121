"""Alerts that one version of the rules raises and another does not."""

from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

from cardwatch_rules.backtest.run import Backtest
from cardwatch_rules.model import Rule
from cardwatch_rules.statuses import RAISED


class Difference(NamedTuple):
    """How the raised alerts of one rule differ; alerts are the same if they have the same transaction.

    Attributes:
        rule_id: id of both versions.
        gained: alerts that only the new version raises, as in ``alerts.alerts_of``.
        lost: alerts that only the old version raises.
        kept: number of alerts that both raise.
        suppressed: number of lost alerts that the new version suppresses.
    """

    rule_id: str
    gained: pl.DataFrame
    lost: pl.DataFrame
    kept: int
    suppressed: int


def compare(tested: Backtest, new: tuple[Rule, ...], old: tuple[Rule, ...]) -> Iterator[Difference]:
    """The differences by rule id: the new rules' in their order, then those of rules that only the old ones have.

    Args:
        tested: with the rules of both.
    """
    new_by_id = {rule.rule_id: rule for rule in new}
    old_by_id = {rule.rule_id: rule for rule in old}
    for rule_id in dict.fromkeys((*new_by_id, *old_by_id)):
        now, before = (
            _raised(tested, by_id.get(rule_id), any_of=new_by_id.get(rule_id) or old_by_id[rule_id])
            for by_id in (new_by_id, old_by_id)
        )
        gained = now.join(before, on="transaction_id", how="anti")
        lost = before.join(now, on="transaction_id", how="anti")
        hits = tested.alerts[new_by_id[rule_id]] if rule_id in new_by_id else lost.clear()
        suppressed = lost.join(hits, on="transaction_id", how="semi").height
        yield Difference(rule_id, gained, lost, now.height - gained.height, suppressed)


def _raised(tested: Backtest, rule: Rule | None, any_of: Rule) -> pl.DataFrame:
    if rule is None:
        return tested.alerts[any_of].clear()
    return tested.alerts[rule].filter(pl.col("status") == RAISED)
