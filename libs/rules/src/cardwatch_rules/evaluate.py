"""Which rules hold for which transactions.

Transactions come as a Polars frame sorted by (``group``, ``event_time``): ``group`` numbers the keys from 0 (int64),
``event_time`` is integer microseconds, the other columns are those of RULE_FIELDS that the rules name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cardwatch_rules.expressions import holds, names_in
from cardwatch_rules.model import Aggregate, Measure, Rule
from cardwatch_rules.parse import measure_type
from cardwatch_rules.windows import Bools, Bounds, Ints, Timeline, count, count_distinct, largest, smallest, total


@dataclass(frozen=True, slots=True)
class Hits:
    """The transactions for which one rule holds.

    Attributes:
        rule: which rule.
        rows: positions in the evaluated frame, ascending.
        measures: one column a measure, a row for each of ``rows``.
        longest: the rule's longest window for each of ``rows``.
    """

    rule: Rule
    rows: Ints
    measures: pl.DataFrame
    longest: Bounds


def fields_used(rules: Sequence[Rule]) -> set[str]:
    """The transaction fields that rules name: what must be in the frame beside group and event time."""
    fields: set[str] = set()
    for rule in rules:
        names = {measure.name for measure in rule.measures}
        fields |= names_in(rule.when) - names
        for measure in rule.measures:
            if measure.field is not None:
                fields.add(measure.field)
            if measure.where is not None:
                fields |= names_in(measure.where)
    return fields


def evaluate(transactions: pl.DataFrame, rows: Ints, rules: Sequence[Rule]) -> list[Hits]:
    """Evaluate rules of one scope for some of the rows; the others are only history.

    Args:
        transactions: sorted as the module's docstring says, one row a ``transaction_id`` and group.
        rows: positions to evaluate, ascending.
        rules: paused ones are the caller's to leave out.

    Returns:
        One entry a rule that holds anywhere.
    """
    if not rules or not len(rows):
        return []
    evaluation = _Evaluation(transactions, rows, max(rule.longest_window_us for rule in rules))
    return [hits for rule in rules if len((hits := evaluation.rule(rule)).rows)]


class _Evaluation:
    """One evaluation: what several rules ask for is computed once."""

    def __init__(self, transactions: pl.DataFrame, rows: Ints, longest_window_us: int) -> None:
        self._transactions = transactions
        self._rows = rows
        self._evaluated = transactions[rows] if len(rows) < transactions.height else transactions
        self._timeline = Timeline(
            transactions["group"].to_numpy(), transactions["event_time"].to_numpy(), longest_window_us
        )
        self._bounds: dict[int, Bounds] = {}
        self._included: dict[tuple[str | None, str | None], Bools] = {}
        self._measures: dict[tuple[int, Aggregate, str | None, str | None], pl.Series] = {}
        self._codes: dict[str, Ints] = {}

    def rule(self, rule: Rule) -> Hits:
        measures = pl.DataFrame([self._measure(measure).alias(measure.name) for measure in rule.measures])
        hit = holds(rule.when, self._evaluated.hstack(measures))
        at = hit.arg_true().to_numpy().astype(np.int64)
        bounds = self._window(rule.longest_window_us)
        return Hits(rule, self._rows[at], measures[at], Bounds(bounds.first[at], bounds.after[at]))

    def _measure(self, measure: Measure) -> pl.Series:
        asked = (measure.window_us, measure.aggregate, measure.field, measure.where)
        if asked not in self._measures:
            self._measures[asked] = self._compute(measure)
        return self._measures[asked]

    def _compute(self, measure: Measure) -> pl.Series:
        bounds = self._window(measure.window_us)
        included = self._include(measure)
        match measure.aggregate:
            case Aggregate.COUNT:
                return pl.Series(count(bounds, included))
            case Aggregate.COUNT_DISTINCT:
                return pl.Series(count_distinct(bounds, included, self._code(measure.field or "")))
        values = self._values(measure.field or "")
        number = count(bounds, included)
        present = pl.Series(number > 0)
        match measure.aggregate:
            case Aggregate.SUM:
                result = pl.Series(total(bounds, included, values))
            case Aggregate.MEAN:
                result = pl.Series(total(bounds, included, values) / np.maximum(number, 1))
            case Aggregate.MIN:
                result = pl.Series(smallest(bounds, included, values))
            case Aggregate.MAX:
                result = pl.Series(largest(bounds, included, values))
        return result.cast(measure_type(measure)).zip_with(present, pl.Series([None], dtype=measure_type(measure)))

    def _window(self, window_us: int) -> Bounds:
        if window_us not in self._bounds:
            self._bounds[window_us] = self._timeline.bounds(self._rows, window_us)
        return self._bounds[window_us]

    def _include(self, measure: Measure) -> Bools:
        """The rows that a measure counts: its condition holds and its field is not null."""
        asked = (measure.where, measure.field)
        if asked not in self._included:
            included = np.ones(self._transactions.height, dtype=np.bool_)
            if measure.where is not None:
                included &= holds(measure.where, self._transactions).to_numpy()
            if measure.field is not None:
                included &= self._transactions[measure.field].is_not_null().to_numpy()
            self._included[asked] = included
        return self._included[asked]

    def _values(self, field: str) -> Ints:
        column = self._transactions[field]
        filled = column.fill_null(0)
        return (filled if column.dtype == pl.Float64 else filled.cast(pl.Int64)).to_numpy()

    def _code(self, field: str) -> Ints:
        """Numbers for a field's values, different in different groups, so that groups never share an occurrence."""
        if field not in self._codes:
            codes = self._transactions.select(
                pl.struct("group", field).rank("dense").cast(pl.Int64).alias("code")
            ).to_series()
            self._codes[field] = codes.fill_null(0).to_numpy()
        return self._codes[field]
