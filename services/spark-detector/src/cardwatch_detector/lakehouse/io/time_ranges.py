"""Stretches of time: where in a table to look, however much it holds, in a form by which Delta leaves out files."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from cardwatch_units.timestamps import from_microseconds, to_microseconds

LAST_US: Final = 253_402_300_800_000_000
"""The year 10,000, microseconds since 1970: SQL has no literal for what is later."""

# What SQL has no literal for is not bounded by one: a message may claim any time.
_EARLIEST_US: Final = to_microseconds(datetime(1000, 1, 1, tzinfo=UTC))
_LATEST_US: Final = to_microseconds(datetime(9999, 1, 1, tzinfo=UTC))

# Stretches of event time that a micro-batch's look-up names at most.
_STRETCHES: Final = 12


class TimeRange(NamedTuple):
    """Event times from ``first`` to ``last``, both included, microseconds."""

    first: int
    last: int


def time_ranges(event_us: pl.Series, within_us: int, at_most: int = _STRETCHES) -> list[TimeRange]:
    """Where in event time something may lie that is at most ``within_us`` away from one of these, in order.

    What overlaps is joined; where that leaves too many, those with the shortest way between them are joined first: one
    transaction from far away does not make one stretch of all between.
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


def time_filter(found: Iterable[TimeRange], time: str, day: str | None = None) -> str:
    """SQL: whether a row lies in one of these; of a form by which Delta leaves out files, and whole partitions.

    Args:
        time: name of the column with the event time.
        day: of the one with its day, if the table is partitioned by that.
    """
    them = list(found)
    if not them:
        return "false"
    times = " OR ".join(_between(time, a, b, "TIMESTAMP'{:%Y-%m-%d %H:%M:%S.%f}Z'") for a, b in them)
    if day is None:
        return f"({times})"
    days = " OR ".join(_between(day, a, b, "DATE'{:%Y-%m-%d}'") for a, b in them)
    return f"({days}) AND ({times})"


def _between(column: str, first: int, last: int, literal: str) -> str:
    bounds = []
    if first > _EARLIEST_US:
        bounds.append(f"{column} >= {literal.format(at(min(first, _LATEST_US)))}")
    if last < _LATEST_US:
        bounds.append(f"{column} <= {literal.format(at(max(last, _EARLIEST_US)))}")
    return f"({' AND '.join(bounds) or 'true'})"


def at(micros: int) -> datetime:
    """A time in microseconds since 1970, UTC."""
    return from_microseconds(micros)
