"""Time ranges as filters of a table, in a form that lets Delta skip files."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from cardwatch_units.timestamps import from_microseconds, to_microseconds

LAST_US: Final = 253_402_300_800_000_000
"""The year 10,000, microseconds since 1970: SQL has no literal for later times."""

# A message may claim any time: bounds that SQL has no literal for are left out.
_EARLIEST_US: Final = to_microseconds(datetime(1000, 1, 1, tzinfo=UTC))
_LATEST_US: Final = to_microseconds(datetime(9999, 1, 1, tzinfo=UTC))

# Ranges in one filter.
MAX_TIME_RANGES: Final = 12


class TimeRange(NamedTuple):
    """Event times from ``first`` to ``last``, both included, microseconds."""

    first: int
    last: int


def time_ranges(event_us: pl.Series, *, within_us: int, at_most: int = MAX_TIME_RANGES) -> list[TimeRange]:
    """The ranges of times that are at most ``within_us`` away from one of some event times, in ascending order.

    Ranges that overlap are joined. Where too many remain, those with the smallest gaps between them are joined first:
    one transaction from far away does not turn everything in between into one range.
    """
    times = event_us.unique().sort().to_numpy()
    if not len(times):
        return []
    gaps = np.diff(times)
    wide = np.flatnonzero(gaps > 2 * within_us)
    if len(wide) > at_most - 1:
        wide = np.sort(wide[np.argsort(gaps[wide], kind="stable")[len(wide) - (at_most - 1) :]])
    firsts = times[np.concatenate(([0], wide + 1))]
    lasts = times[np.concatenate((wide, [len(times) - 1]))]
    return [TimeRange(int(a) - within_us, int(b) + within_us) for a, b in zip(firsts, lasts, strict=True)]


def time_filter(ranges: Iterable[TimeRange], time: str, *, day: str | None = None) -> str:
    """An SQL predicate: whether a row lies in one of the ranges. Delta can skip files, and whole partitions, by it.

    Args:
        time: name of the column with the event time.
        day: name of the column with its day, if the table is partitioned by it.
    """
    found = list(ranges)
    if not found:
        return "false"
    times = " OR ".join(_between(time, a, b, "TIMESTAMP'{:%Y-%m-%d %H:%M:%S.%f}Z'") for a, b in found)
    if day is None:
        return f"({times})"
    days = " OR ".join(_between(day, a, b, "DATE'{:%Y-%m-%d}'") for a, b in found)
    return f"({days}) AND ({times})"


def _between(column: str, first: int, last: int, literal: str) -> str:
    bounds = []
    if first > _EARLIEST_US:
        bounds.append(f"{column} >= {literal.format(from_microseconds(min(first, _LATEST_US)))}")
    if last < _LATEST_US:
        bounds.append(f"{column} <= {literal.format(from_microseconds(max(last, _EARLIEST_US)))}")
    return f"({' AND '.join(bounds) or 'true'})"
