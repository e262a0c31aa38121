"""The values of measures over the windows of a frame's rows; what several measures share is computed once."""

from typing import Final

import numpy as np
import polars as pl
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

from cardwatch_rules.fields import FIELD_KINDS
from cardwatch_rules.measures import measure_kind
from cardwatch_rules.model import Aggregate, Measure
from cardwatch_rules.needs import FIELDS_OF
from cardwatch_rules.polars_types import polars_type
from cardwatch_rules.program.compiled_rule import compile_measure
from cardwatch_rules.program.instructions import Expression
from cardwatch_rules.program.polars_conditions import Lists, evaluate_conditions, polars_condition
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

MeasureKey = tuple[int, Aggregate, str | None, str | None]
"""Window, aggregate, field and condition: measures that share all four have the same values."""


def key_of(measure: Measure) -> MeasureKey:
    """The key under which the values of a measure are computed once."""
    return measure.window_us, measure.aggregate, measure.field, measure.where


class MeasureColumns:
    """Computes measures for some rows of a frame, each once.

    Attributes:
        columns: key of a measure → its values, one per evaluated row.
    """

    def __init__(self, transactions: pl.DataFrame, rows: Ints, longest_window_us: int, lists: Lists) -> None:
        self.columns: Final[dict[MeasureKey, pl.Series]] = {}
        self._transactions = transactions
        self._rows = rows
        self._lists = lists
        self._timeline = Timeline(
            transactions["group"].to_numpy(), transactions["event_time"].to_numpy(), longest_window_us
        )
        # These do not depend on a window's length and are computed once for all windows.
        self._after = self._timeline.after(rows)
        self._previous: dict[tuple[str | None, str], Ints] = {}
        self._numbers: dict[str, Ints] = {}
        self._bounds: dict[int, Bounds] = {}
        self._included: dict[tuple[Expression | None, tuple[str, ...]], Bools] = {}
        self._codes: dict[str, Ints] = {}

    def compute(self, measure: Measure) -> None:
        """Add the values of a measure to ``columns``, unless they are there."""
        key = key_of(measure)
        if key not in self.columns:
            self.columns[key] = self._compute(measure)

    def window(self, window_us: int) -> Bounds:
        """The bounds of the window of each evaluated row.

        Args:
            window_us: the length of the window, microseconds.
        """
        if window_us not in self._bounds:
            self._bounds[window_us] = self._timeline.bounds(self._rows, window_us, self._after)
        return self._bounds[window_us]

    def _compute(self, measure: Measure) -> pl.Series:
        bounds = self.window(measure.window_us)
        included = self._include(measure)
        match measure.aggregate:
            case Aggregate.COUNT | Aggregate.DECLINES:
                return pl.Series(count(bounds, included))
            case Aggregate.COUNT_DISTINCT:
                return pl.Series(self._distinct(measure, bounds, included))
            case Aggregate.FIRST | Aggregate.LAST | Aggregate.PREVIOUS:
                return self._values_at(measure.field or "", self._chosen_row(measure, bounds, included))
            case Aggregate.SECONDS_SINCE_PREVIOUS | Aggregate.DISTANCE_KM | Aggregate.SPEED_KMH:
                return self._since_previous(measure, bounds, included)
        return self._aggregate_values(measure, bounds, included)

    def _distinct(self, measure: Measure, bounds: Bounds, included: Bools) -> Ints:
        field = measure.field or ""
        codes = self._group_codes(field)
        key = (measure.where, field)
        if key not in self._previous:
            self._previous[key] = previous_occurrence(included, codes)
        return count_distinct(bounds, included, codes, self._previous[key])

    def _aggregate_values(self, measure: Measure, bounds: Bounds, included: Bools) -> pl.Series:
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
                present &= (mean != 0) & self._transactions[measure.field or ""].is_not_null().to_numpy()[self._rows]
                result = values[self._rows] / np.where(mean == 0, 1, mean)
        return _null_unless(result, present, polars_type(measure_kind(measure)))

    def _chosen_row(self, measure: Measure, bounds: Bounds, included: Bools) -> Ints:
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
        seconds = (at[self._rows] - at[others]) / MICROSECONDS_PER_SECOND
        if measure.aggregate is Aggregate.SECONDS_SINCE_PREVIOUS:
            return _null_unless(seconds, present, pl.Float64())
        latitude, longitude = self._floats("latitude"), self._floats("longitude")
        present = present & ~np.isnan(latitude[self._rows]) & ~np.isnan(longitude[self._rows])
        distance = distance_km(latitude, longitude, self._rows, others)
        if measure.aggregate is Aggregate.SPEED_KMH:
            return _null_unless(distance * 3600 / np.maximum(seconds, 1), present, pl.Float64())
        return _null_unless(distance, present, pl.Float64())

    def _include(self, measure: Measure) -> Bools:
        """The rows that a measure looks at: its condition holds and its fields are not null."""
        where = compile_measure(measure).where
        fields = FIELDS_OF.get(measure.aggregate, () if measure.field is None else (measure.field,))
        key = (where, fields)
        if key not in self._included:
            included = np.ones(self._transactions.height, dtype=np.bool_)
            if where is not None:
                condition = polars_condition(where, self._lists)
                included &= evaluate_conditions(self._transactions, [condition])[0].to_numpy()
            for name in fields:
                included &= self._transactions[name].is_not_null().to_numpy()
            self._included[key] = included
        return self._included[key]

    def _values(self, field: str) -> Ints:
        if field not in self._numbers:
            column = self._transactions[field]
            filled = column.fill_null(0)
            self._numbers[field] = (filled if column.dtype == pl.Float64 else filled.cast(pl.Int64)).to_numpy()
        return self._numbers[field]

    def _floats(self, field: str) -> Floats:
        return self._transactions[field].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def _values_at(self, field: str, rows: Ints) -> pl.Series:
        column = self._transactions[field].cast(polars_type(FIELD_KINDS[field]))
        chosen = pl.Series(rows, dtype=pl.Int64)
        return column.gather(chosen.set(chosen < 0, None).cast(pl.UInt32))

    def _group_codes(self, field: str) -> Ints:
        """Numbers for a field's values, different in different groups, so that groups never share an occurrence."""
        if field not in self._codes:
            codes = self._transactions.select(
                pl.struct("group", field).rank("dense").cast(pl.Int64).alias("code")
            ).to_series()
            self._codes[field] = codes.fill_null(0).to_numpy()
        return self._codes[field]


def _null_unless(values: Ints | Floats, present: Bools, kind: pl.DataType) -> pl.Series:
    return pl.Series(values).cast(kind).set(pl.Series(~present), None)
