"""The profiles of cards, computed from their transactions: for backtests, which have all transactions at once.

    day          D−91 …          D−31 …         D−2 │ D−1 │  D
    90 days       [──────────────────────────────)   grace   transactions of D see this profile
    30 days                       [──────────────)

In production the lakehouse computes the same values day by day (docs/rules.md defines them).
"""

from typing import Final

import numpy as np
import polars as pl
from cardwatch_units.timestamps import MICROSECONDS_PER_DAY

from cardwatch_rules.fields import PROFILE_KINDS
from cardwatch_rules.polars_types import polars_type
from cardwatch_rules.profiles import ARRIVED
from cardwatch_rules.program.polars_conditions import evaluate_where
from cardwatch_rules.windows import Bounds, Ints, count, deviation, largest, total, union

COUNTED: Final = "status = 'approved' and transaction_type <> 'refund'"

# The columns that profiles are computed from, besides group and event time.
SOURCES: Final = frozenset({"base_amount_minor", "status", "transaction_type", "country", "hour_of_day"})

# How far back from a transaction its profile looks, microseconds: the day itself, the grace, 90 days.
HISTORY_US: Final = 92 * MICROSECONDS_PER_DAY

_BITS: Final = 63


def profiles_of(transactions: pl.DataFrame) -> pl.DataFrame:
    """A profile for each card and UTC day with transactions, unless the card has no history.

    Args:
        transactions: sorted by (``group``, ``event_time``), one row per transaction, with SOURCES.

    Returns:
        ``group``, ``event_time`` (the beginning of the day that it is for, microseconds), ARRIVED and PROFILE_KINDS.
    """
    day = (pl.col("event_time") // MICROSECONDS_PER_DAY).alias("day")
    asked = transactions.select("group", day).unique(maintain_order=True)
    counted = transactions.filter(evaluate_where(COUNTED, transactions))
    group, days = asked["group"].to_numpy(), asked["day"].to_numpy()
    history = _History(counted)
    month, quarter = history.bounds(group, days, 30), history.bounds(group, days, 90)
    figures: dict[str, pl.Series] = {}
    for span, bounds in (("30d", month), ("90d", quarter)):
        number = count(bounds, history.all)
        figures[f"transactions_{span}"] = pl.Series(number)
        mean = total(bounds, history.all, history.amounts) / np.maximum(number, 1)
        figures[f"mean_amount_minor_{span}"] = _null_unless(mean, number > 0)
        stddev = deviation(bounds, history.all, history.amounts)
        figures[f"stddev_amount_minor_{span}"] = _null_unless(stddev, number > 1)
    figures["max_amount_minor_90d"] = pl.Series(largest(quarter, history.all, history.amounts))
    figures["active_days_90d"] = pl.Series(count(quarter, history.begins_day))
    figures["countries_90d"] = history.texts(quarter)
    figures["hours_90d"] = history.hours(quarter)
    found = asked.select(
        "group", (pl.col("day") * MICROSECONDS_PER_DAY).alias("event_time"), pl.lit(0).alias(ARRIVED)
    ).hstack(
        [
            figures[name.removeprefix("profile.")].cast(polars_type(kind)).alias(name)
            for name, kind in PROFILE_KINDS.items()
        ]
    )
    return found.filter(pl.col("profile.transactions_90d") > 0)


class _History:
    """Counted transactions on one axis of days, on which the days of different cards never meet."""

    def __init__(self, counted: pl.DataFrame) -> None:
        self._group = counted["group"].to_numpy()
        self._day = (counted["event_time"] // MICROSECONDS_PER_DAY).to_numpy()
        self._origin = int(self._day.min()) if len(self._day) else 0
        self._stride = (int(self._day.max()) - self._origin if len(self._day) else 0) + 2
        self._axis: Ints = self._group * self._stride + (self._day - self._origin)
        self._countries = counted["country"]
        self._hours = counted["hour_of_day"]
        self.amounts: Ints = counted["base_amount_minor"].to_numpy()
        self.all = np.ones(len(self._axis), dtype=np.bool_)
        self.begins_day = np.r_[True, self._axis[1:] != self._axis[:-1]][: len(self._axis)]

    def bounds(self, group: Ints, day: Ints, days: int) -> Bounds:
        """The transactions of the ``days`` days that end one day before each given day."""

        def at(of: Ints) -> Ints:
            axis = group * self._stride + np.clip(of - self._origin, 0, self._stride - 1)
            return np.searchsorted(self._axis, axis, side="left").astype(np.int64)

        return Bounds(at(day - 1 - days), at(day - 1))

    def texts(self, bounds: Bounds) -> pl.Series:
        """The countries, sorted, each once."""
        known = self._countries.unique().sort()
        code = self._countries.replace_strict(known, np.arange(len(known)), return_dtype=pl.Int64).to_numpy()
        # 63 countries per word of bits.
        found = [
            _lists(
                union(bounds, np.where(code // _BITS == word, np.int64(1) << (code % _BITS), 0)), known[word * _BITS :]
            )
            for word in range(-(-len(known) // _BITS))
        ]
        if not found:
            return pl.Series([[]] * len(bounds.first), dtype=pl.List(pl.String))
        return pl.DataFrame({str(at): one for at, one in enumerate(found)}).select(pl.concat_list(pl.all())).to_series()

    def hours(self, bounds: Bounds) -> pl.Series:
        """The hours of the day, sorted, each once."""
        masks = np.int64(1) << self._hours.cast(pl.Int64).to_numpy()
        return _lists(union(bounds, masks), pl.Series(np.arange(24), dtype=pl.Int64))


def _lists(masks: Ints, values: pl.Series) -> pl.Series:
    """For each mask the list of the values whose bits are set."""
    kinds, which = np.unique(masks, return_inverse=True)
    lists = [[value for bit, value in enumerate(values[:_BITS]) if mask >> bit & 1] for mask in kinds.tolist()]
    return pl.Series(lists, dtype=pl.List(values.dtype)).gather(which)


def _null_unless(values: np.ndarray, present: np.ndarray) -> pl.Series:
    return pl.Series(values).set(pl.Series(~present), None)
