"""Which rules hold for which transactions.

Transactions come as a Polars frame sorted by (``group``, ``event_time``, ``transaction_id``): ``group`` numbers the
keys from 0 (int64), ``event_time`` is integer microseconds, the other columns are those of RULE_FIELDS that the rules
name, and those of PROFILE_KINDS where a rule names one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl
from cardwatch_contracts.errors import ConfigurationError
from polars.exceptions import PolarsError

from cardwatch_rules.expressions import NO_LISTS, Lists, compile_sql, condition, holds, polars_type
from cardwatch_rules.fields import FIELD_KINDS
from cardwatch_rules.model import Aggregate, Measure, Rule
from cardwatch_rules.needs import FIELDS_OF
from cardwatch_rules.parse import measure_kind
from cardwatch_rules.windows import (
    Bools,
    Bounds,
    Floats,
    Ints,
    Timeline,
    count,
    count_distinct,
    deviation,
    distance_km,
    first_row,
    largest,
    last_row,
    previous_occurrence,
    previous_row,
    smallest,
    total,
)

# What a rule can fail with, however well it was checked: it must not take the others with it.
_FAILURES: Final = (ConfigurationError, PolarsError, ArithmeticError, ValueError, TypeError, KeyError, MemoryError)


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

    def take(self, which: Ints) -> "Hits":
        """Some of the hits, by their position among them."""
        longest = Bounds(self.longest.first[which], self.longest.after[which])
        measures = self.measures[which] if self.rule.measures else self.measures
        return Hits(self.rule, self.rows[which], measures, longest)


@dataclass
class Ledger:
    """What evaluations found out about the rules themselves.

    Attributes:
        failed: rule id → why it could not be evaluated; the others were.
        seconds: rule id → time that its measures took, those that it shares with others included.
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
        transactions: sorted as the module's docstring says, one row a ``transaction_id`` and group.
        rows: positions to evaluate, ascending.
        rules: paused ones are the caller's to leave out.
        lists: what ``in list('name')`` looks into.
        ledger: where a rule that fails is written down; without one its error is raised.

    Returns:
        One entry a rule that holds anywhere, in the rules' order.
    """
    if not rules or not len(rows):
        return []
    evaluation = _Evaluation(transactions, rows, max(rule.longest_window_us for rule in rules), lists)
    return [hits for hits in evaluation.hits(rules, ledger) if len(hits.rows)]


_Asked = tuple[int, Aggregate, str | None, str | None]


class _Evaluation:
    """One evaluation: what several rules ask for is computed once."""

    def __init__(self, transactions: pl.DataFrame, rows: Ints, longest_window_us: int, lists: Lists) -> None:
        self._transactions = transactions
        self._rows = rows
        self._lists = lists
        self._evaluated = transactions[rows] if len(rows) < transactions.height else transactions
        self._timeline = Timeline(
            transactions["group"].to_numpy(), transactions["event_time"].to_numpy(), longest_window_us
        )
        # What does not depend on a window's length is computed once for all of them.
        self._after = self._timeline.after(rows)
        self._previous: dict[tuple[str | None, str], Ints] = {}
        self._numbers: dict[str, Ints] = {}
        self._bounds: dict[int, Bounds] = {}
        self._included: dict[tuple[str | None, tuple[str, ...], bool], Bools] = {}
        self._measures: dict[_Asked, pl.Series] = {}
        self._seconds: dict[_Asked, float] = {}
        self._codes: dict[str, Ints] = {}

    def hits(self, rules: Sequence[Rule], ledger: Ledger | None) -> list[Hits]:
        ready = [rule for rule in rules if self._try(ledger, rule, self._measure_all)]
        if ledger is not None:
            for rule in ready:
                spent = sum(self._seconds[_asked(measure)] for measure in rule.measures)
                ledger.seconds[rule.rule_id] = ledger.seconds.get(rule.rule_id, 0.0) + spent
        # All conditions in one go: what Polars does once for a query costs more than a condition.
        names = {asked: f"measure {at}" for at, asked in enumerate(self._measures)}
        frame = self._evaluated.hstack([self._measures[asked].alias(name) for asked, name in names.items()])
        found: list[tuple[Rule, pl.Series]] = []
        try:
            conditions = condition(frame, [self._condition(rule, names) for rule in ready])
            found = list(zip(ready, conditions, strict=True))
        except _FAILURES:
            for rule in ready:
                self._try(ledger, rule, lambda rule: found.append((rule, self._alone(frame, rule, names))))
        return [self._hits(rule, hit) for rule, hit in found]

    def _try(self, ledger: Ledger | None, rule: Rule, do: Callable[[Rule], Any]) -> bool:
        try:
            do(rule)
        except _FAILURES as error:
            if ledger is None:
                raise
            ledger.failed[rule.rule_id] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"
            return False
        return True

    def _measure_all(self, rule: Rule) -> None:
        for measure in rule.measures:
            asked = _asked(measure)
            if asked not in self._measures:
                begin = time.perf_counter()
                self._measures[asked] = self._compute(measure)
                self._seconds[asked] = time.perf_counter() - begin

    def _condition(self, rule: Rule, names: Mapping[_Asked, str]) -> pl.Expr:
        columns = {measure.name: names[_asked(measure)] for measure in rule.measures}
        return compile_sql(rule.when, self._lists, columns)

    def _alone(self, frame: pl.DataFrame, rule: Rule, names: Mapping[_Asked, str]) -> pl.Series:
        return condition(frame, [self._condition(rule, names)])[0]

    def _hits(self, rule: Rule, hit: pl.Series) -> Hits:
        at = hit.arg_true().to_numpy().astype(np.int64)
        bounds = self._window(rule.longest_window_us)
        measures = pl.DataFrame([self._measures[_asked(m)].gather(at).alias(m.name) for m in rule.measures])
        return Hits(rule, self._rows[at], measures, Bounds(bounds.first[at], bounds.after[at]))

    def _compute(self, measure: Measure) -> pl.Series:
        bounds = self._window(measure.window_us)
        included = self._include(measure)
        match measure.aggregate:
            case Aggregate.COUNT | Aggregate.DECLINES:
                return pl.Series(count(bounds, included))
            case Aggregate.COUNT_DISTINCT:
                return pl.Series(self._distinct(measure, bounds, included))
            case Aggregate.FIRST | Aggregate.LAST | Aggregate.PREVIOUS:
                return self._at(measure.field or "", self._chosen(measure, bounds, included))
            case Aggregate.SECONDS_SINCE_PREVIOUS | Aggregate.DISTANCE_KM | Aggregate.SPEED_KMH:
                return self._since_previous(measure, bounds, included)
        return self._of_values(measure, bounds, included)

    def _distinct(self, measure: Measure, bounds: Bounds, included: Bools) -> Ints:
        field = measure.field or ""
        codes = self._code(field)
        asked = (measure.where, field)
        if asked not in self._previous:
            self._previous[asked] = previous_occurrence(included, codes)
        return count_distinct(bounds, included, codes, self._previous[asked])

    def _of_values(self, measure: Measure, bounds: Bounds, included: Bools) -> pl.Series:
        values = self._values(measure.field or "")
        number = count(bounds, included)
        present = number > 0
        match measure.aggregate:
            case Aggregate.SUM:
                result: Ints | Floats = total(bounds, included, values)
            case Aggregate.MEAN:
                result = total(bounds, included, values) / np.maximum(number, 1)
            case Aggregate.MIN:
                result = smallest(bounds, included, values)
            case Aggregate.MAX:
                result = largest(bounds, included, values)
            case Aggregate.STDDEV:
                result = deviation(bounds, included, values)
                present = number > 1
            case Aggregate.RATIO_TO_MEAN:
                mean = total(bounds, included, values) / np.maximum(number, 1)
                present &= (mean != 0) & self._evaluated[measure.field or ""].is_not_null().to_numpy()
                result = values[self._rows] / np.where(mean == 0, 1, mean)
        return _where(result, present, polars_type(measure_kind(measure)))

    def _chosen(self, measure: Measure, bounds: Bounds, included: Bools) -> Ints:
        match measure.aggregate:
            case Aggregate.FIRST:
                return first_row(bounds, included)
            case Aggregate.LAST:
                return last_row(bounds, included)
        return previous_row(bounds, self._rows, included)

    def _since_previous(self, measure: Measure, bounds: Bounds, included: Bools) -> pl.Series:
        previous = previous_row(bounds, self._rows, included)
        present = previous >= 0
        others = np.where(present, previous, self._rows)
        at = self._transactions["event_time"].to_numpy()
        seconds = (at[self._rows] - at[others]) / 1e6
        if measure.aggregate is Aggregate.SECONDS_SINCE_PREVIOUS:
            return _where(seconds, present, pl.Float64())
        latitude, longitude = self._floats("latitude"), self._floats("longitude")
        present = present & ~np.isnan(latitude[self._rows]) & ~np.isnan(longitude[self._rows])
        distance = distance_km(latitude, longitude, self._rows, others)
        if measure.aggregate is Aggregate.SPEED_KMH:
            return _where(distance * 3600 / np.maximum(seconds, 1), present, pl.Float64())
        return _where(distance, present, pl.Float64())

    def _window(self, window_us: int) -> Bounds:
        if window_us not in self._bounds:
            self._bounds[window_us] = self._timeline.bounds(self._rows, window_us, self._after)
        return self._bounds[window_us]

    def _include(self, measure: Measure) -> Bools:
        """The rows that a measure looks at: its condition holds and its fields are not null."""
        declines = measure.aggregate is Aggregate.DECLINES
        fields = FIELDS_OF.get(measure.aggregate, () if measure.field is None else (measure.field,))
        asked = (measure.where, fields, declines)
        if asked not in self._included:
            included = np.ones(self._transactions.height, dtype=np.bool_)
            if measure.where is not None:
                included &= holds(measure.where, self._transactions, self._lists).to_numpy()
            for name in fields:
                included &= self._transactions[name].is_not_null().to_numpy()
            if declines:
                included &= holds("status = 'declined'", self._transactions).to_numpy()
            self._included[asked] = included
        return self._included[asked]

    def _values(self, field: str) -> Ints:
        if field not in self._numbers:
            column = self._transactions[field]
            filled = column.fill_null(0)
            self._numbers[field] = (filled if column.dtype == pl.Float64 else filled.cast(pl.Int64)).to_numpy()
        return self._numbers[field]

    def _floats(self, field: str) -> Floats:
        return self._transactions[field].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def _at(self, field: str, rows: Ints) -> pl.Series:
        column = self._transactions[field].cast(polars_type(FIELD_KINDS[field]))
        chosen = pl.Series(rows, dtype=pl.Int64)
        return column.gather(chosen.set(chosen < 0, None).cast(pl.UInt32))

    def _code(self, field: str) -> Ints:
        """Numbers for a field's values, different in different groups, so that groups never share an occurrence."""
        if field not in self._codes:
            codes = self._transactions.select(
                pl.struct("group", field).rank("dense").cast(pl.Int64).alias("code")
            ).to_series()
            self._codes[field] = codes.fill_null(0).to_numpy()
        return self._codes[field]


def _asked(measure: Measure) -> _Asked:
    return measure.window_us, measure.aggregate, measure.field, measure.where


def _where(values: Ints | Floats, present: Bools, kind: pl.DataType) -> pl.Series:
    return pl.Series(values).cast(kind).set(pl.Series(~present), None)
