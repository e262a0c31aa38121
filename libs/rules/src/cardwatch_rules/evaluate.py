"""The hits of rules: the transactions for which their conditions are true.

Transactions come as a Polars frame sorted by (``group``, ``event_time``, ``transaction_id``): ``group`` numbers the
keys from 0 (int64), ``event_time`` is integer microseconds, the other columns are those of RULE_FIELDS that the rules
name, and those of PROFILE_KINDS where a rule names one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cardwatch_rules.measure_columns import MeasureColumns, MeasureKey, key_of
from cardwatch_rules.model import Rule
from cardwatch_rules.program.compiled_rule import compile_rule
from cardwatch_rules.program.polars_conditions import NO_LISTS, Lists, evaluate_conditions, polars_condition
from cardwatch_rules.windows import Bounds, Ints


@dataclass(frozen=True, slots=True)
class Hits:
    """The transactions for which the condition of one rule is true.

    Attributes:
        rule: the rule.
        rows: positions in the evaluated frame, ascending.
        measures: one column per measure, one row per position.
        longest: the rule's longest window for each of ``rows``.
    """

    rule: Rule
    rows: Ints
    measures: pl.DataFrame
    longest: Bounds


def evaluate(
    transactions: pl.DataFrame,
    rows: Ints,
    rules: Sequence[Rule],
    lists: Lists = NO_LISTS,
) -> list[Hits]:
    """Evaluate rules of one scope for some of the rows; the others are only history.

    Args:
        transactions: sorted as the module's docstring says, one row per ``transaction_id`` and group.
        rows: positions to evaluate, ascending.
        rules: the rules, without paused ones.
        lists: the lists for ``in list('name')``.

    Returns:
        One entry per rule with any hit, in the rules' order.
    """
    if not rules or not len(rows):
        return []
    evaluation = _Evaluation(transactions, rows, max(rule.longest_window_us for rule in rules), lists)
    return [hits for hits in evaluation.hits(rules) if len(hits.rows)]


class _Evaluation:
    """One evaluation of several rules: what they share is computed once."""

    def __init__(self, transactions: pl.DataFrame, rows: Ints, longest_window_us: int, lists: Lists) -> None:
        self._rows = rows
        self._lists = lists
        self._evaluated = transactions[rows] if len(rows) < transactions.height else transactions
        self._measures = MeasureColumns(transactions, rows, longest_window_us, lists)

    def hits(self, rules: Sequence[Rule]) -> list[Hits]:
        for rule in rules:
            for measure in rule.measures:
                self._measures.compute(measure)
        # All conditions in one query: the fixed cost of a query in Polars is higher than that of a condition.
        columns = self._measures.columns
        names = {key: f"measure {number}" for number, key in enumerate(columns)}
        frame = self._evaluated.hstack([columns[key].alias(name) for key, name in names.items()])
        conditions = evaluate_conditions(frame, [self._condition(rule, names) for rule in rules])
        return [self._hits(rule, hit) for rule, hit in zip(rules, conditions, strict=True)]

    def _condition(self, rule: Rule, names: Mapping[MeasureKey, str]) -> pl.Expr:
        columns = [names[key_of(measure)] for measure in rule.measures]
        return polars_condition(compile_rule(rule).when, self._lists, columns)

    def _hits(self, rule: Rule, hit: pl.Series) -> Hits:
        at = hit.arg_true().to_numpy().astype(np.int64)
        bounds = self._measures.window(rule.longest_window_us)
        columns = self._measures.columns
        measures = pl.DataFrame([columns[key_of(m)].gather(at).alias(m.name) for m in rule.measures])
        return Hits(rule, self._rows[at], measures, Bounds(bounds.first[at], bounds.after[at]))
