"""The hits of rules: the transactions for which their conditions are true.

Transactions come as a Polars frame sorted by (``group``, ``event_time``, ``transaction_id``): ``group`` numbers the
keys from 0 (int64), ``event_time`` is integer microseconds, the other columns are those of RULE_FIELDS that the rules
name, and those of PROFILE_KINDS where a rule names one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl
from cardwatch_contracts.errors import ConfigurationError
from polars.exceptions import PolarsError

from cardwatch_rules.measure_columns import MeasureColumns, MeasureKey, key_of
from cardwatch_rules.model import Rule
from cardwatch_rules.program.compiled_rule import compile_rule
from cardwatch_rules.program.polars_conditions import NO_LISTS, Lists, evaluate_conditions, polars_condition
from cardwatch_rules.windows import Bounds, Ints

# What evaluating a checked rule can still raise; the other rules are evaluated nevertheless.
_FAILURES: Final = (ConfigurationError, PolarsError, ArithmeticError, ValueError, TypeError, KeyError, MemoryError)


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

    def take(self, which: Ints) -> "Hits":
        """Some of the hits, by their position in ``rows``."""
        longest = Bounds(self.longest.first[which], self.longest.after[which])
        measures = self.measures[which] if self.rule.measures else self.measures
        return Hits(self.rule, self.rows[which], measures, longest)


@dataclass
class Ledger:
    """Failures and computing time by rule, over several evaluations.

    Attributes:
        failed: rule id → the error because of which the rule was not evaluated.
        seconds: rule id → time that its measures took; a measure that rules share counts for each of them.
    """

    failed: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def evaluate(
    transactions: pl.DataFrame,
    rows: Ints,
    rules: Sequence[Rule],
    lists: Lists = NO_LISTS,
    ledger: Ledger | None = None,
) -> list[Hits]:
    """Evaluate rules of one scope for some of the rows; the others are only history.

    Args:
        transactions: sorted as the module's docstring says, one row per ``transaction_id`` and group.
        rows: positions to evaluate, ascending.
        rules: the rules, without paused ones.
        lists: the lists for ``in list('name')``.
        ledger: takes the failures of rules; without a ledger they are raised.

    Returns:
        One entry per rule with any hit, in the rules' order.
    """
    if not rules or not len(rows):
        return []
    evaluation = _Evaluation(transactions, rows, max(rule.longest_window_us for rule in rules), lists)
    return [hits for hits in evaluation.hits(rules, ledger) if len(hits.rows)]


class _Evaluation:
    """One evaluation of several rules: what they share is computed once."""

    def __init__(self, transactions: pl.DataFrame, rows: Ints, longest_window_us: int, lists: Lists) -> None:
        self._rows = rows
        self._lists = lists
        self._evaluated = transactions[rows] if len(rows) < transactions.height else transactions
        self._measures = MeasureColumns(transactions, rows, longest_window_us, lists)

    def hits(self, rules: Sequence[Rule], ledger: Ledger | None) -> list[Hits]:
        ready = [rule for rule in rules if self._try(ledger, rule, self._measure_all)]
        if ledger is not None:
            for rule in ready:
                spent = sum(self._measures.seconds[key_of(measure)] for measure in rule.measures)
                ledger.seconds[rule.rule_id] = ledger.seconds.get(rule.rule_id, 0.0) + spent
        # All conditions in one query: the fixed cost of a query in Polars is higher than that of a condition.
        columns = self._measures.columns
        names = {key: f"measure {number}" for number, key in enumerate(columns)}
        frame = self._evaluated.hstack([columns[key].alias(name) for key, name in names.items()])
        found: list[tuple[Rule, pl.Series]] = []
        try:
            conditions = evaluate_conditions(frame, [self._condition(rule, names) for rule in ready])
            found = list(zip(ready, conditions, strict=True))
        except _FAILURES:
            for rule in ready:
                self._try(ledger, rule, lambda rule: found.append((rule, self._evaluate_one(frame, rule, names))))
        return [self._hits(rule, hit) for rule, hit in found]

    def _try(self, ledger: Ledger | None, rule: Rule, step: Callable[[Rule], Any]) -> bool:
        """Whether a step succeeds for a rule; a failure is added to the ledger."""
        try:
            step(rule)
        except _FAILURES as error:
            if ledger is None:
                raise
            ledger.failed[rule.rule_id] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"
            return False
        return True

    def _measure_all(self, rule: Rule) -> None:
        for measure in rule.measures:
            self._measures.compute(measure)

    def _condition(self, rule: Rule, names: Mapping[MeasureKey, str]) -> pl.Expr:
        columns = [names[key_of(measure)] for measure in rule.measures]
        return polars_condition(compile_rule(rule).when, self._lists, columns)

    def _evaluate_one(self, frame: pl.DataFrame, rule: Rule, names: Mapping[MeasureKey, str]) -> pl.Series:
        return evaluate_conditions(frame, [self._condition(rule, names)])[0]

    def _hits(self, rule: Rule, hit: pl.Series) -> Hits:
        at = hit.arg_true().to_numpy().astype(np.int64)
        bounds = self._measures.window(rule.longest_window_us)
        columns = self._measures.columns
        measures = pl.DataFrame([columns[key_of(m)].gather(at).alias(m.name) for m in rule.measures])
        return Hits(rule, self._rows[at], measures, Bounds(bounds.first[at], bounds.after[at]))
