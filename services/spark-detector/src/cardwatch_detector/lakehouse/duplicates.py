"""Which messages hold a transaction that is there already, and where in a table to look for it.

A second message about a transaction (redelivery, a producer's retry, a redriven dead letter) repeats its id and its
event time. Two messages are about one transaction if they have the same id and event times at most ``within`` apart:
an event time that a retry stamped anew is still taken for the same, and a table need only be looked at around the event
times that a micro-batch brings, however much it holds.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
import polars as pl

# Columns of arrivals.
ID: Final = "transaction_id"
EVENT_US: Final = "event_us"
PARTITION: Final = "partition"
OFFSET: Final = "offset"

# What SQL has no literal for is not bounded by one: a message may claim any time.
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_US: Final = (datetime(1000, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LATEST_US: Final = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)

# Stretches of event time that a micro-batch's look-up names at most.
_STRETCHES: Final = 12


class Stretch(NamedTuple):
    """Event times from ``first`` to ``last``, both included, microseconds."""

    first: int
    last: int


def stretches(event_us: pl.Series, within_us: int, at_most: int = _STRETCHES) -> list[Stretch]:
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
    return [Stretch(int(a) - within_us, int(b) + within_us) for a, b in zip(firsts, lasts, strict=True)]


def in_stretches(found: Iterable[Stretch], time: str, day: str | None = None) -> str:
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


def repeated(arrivals: pl.DataFrame, known: pl.DataFrame, within_us: int) -> pl.DataFrame:
    """The arrivals whose transaction is known, or comes before them among the arrivals themselves.

    Taken in the order of partition and offset. The messages of one card have one partition, so that all that counts is
    their order, not how they were divided into micro-batches.

    Args:
        arrivals: ID, EVENT_US, PARTITION, OFFSET.
        known: ID and EVENT_US of transactions that are kept already; there may be others among them.

    Returns:
        PARTITION and OFFSET of those to leave out.
    """
    suspect = pl.col(ID).is_duplicated() | pl.col(ID).is_in(known[ID].unique().implode())
    suspects = arrivals.filter(suspect).sort(PARTITION, OFFSET)
    kept: dict[str, list[int]] = {}
    for identity, event_us in known.select(ID, EVENT_US).iter_rows():
        kept.setdefault(identity, []).append(event_us)
    again = []
    for identity, event_us in suspects.select(ID, EVENT_US).iter_rows():
        times = kept.setdefault(identity, [])
        is_repeated = any(abs(event_us - time) <= within_us for time in times)
        again.append(is_repeated)
        if not is_repeated:
            times.append(event_us)
    return suspects.filter(pl.Series(again, dtype=pl.Boolean)).select(PARTITION, OFFSET)


def _between(column: str, first: int, last: int, literal: str) -> str:
    bounds = []
    if first > _EARLIEST_US:
        bounds.append(f"{column} >= {literal.format(_utc(min(first, _LATEST_US)))}")
    if last < _LATEST_US:
        bounds.append(f"{column} <= {literal.format(_utc(max(last, _EARLIEST_US)))}")
    return f"({' AND '.join(bounds) or 'true'})"


def _utc(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
