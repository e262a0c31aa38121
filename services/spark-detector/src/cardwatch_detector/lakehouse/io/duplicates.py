"""Finds arrivals that a table does not hold yet: ``find_new`` by their identity, ``find_repeated`` by id and time.

A second message about a transaction (redelivery, a producer's retry, a redriven dead letter) repeats its id and its
event time. Two messages are about one transaction if they have the same id and event times at most ``within`` apart:
so a retry may have a new event time, and a table need only be searched around the event times of a micro-batch,
however much it holds.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from cardwatch_detector.lakehouse.io.read import OFFSET, PARTITION

# Columns of arrivals, in addition to their position.
ID: Final = "transaction_id"
EVENT_US: Final = "event_us"


def find_repeated(arrivals: pl.DataFrame, known: pl.DataFrame, within_us: int) -> pl.DataFrame:
    """The arrivals whose transaction is known, or is in an earlier one of the arrivals.

    In the order of partition and offset. The messages of one card are in one partition, so that the result depends on
    their order only, not on how they were divided into micro-batches.

    Args:
        arrivals: ID, EVENT_US, PARTITION, OFFSET.
        known: ID and EVENT_US of transactions in the table, others possibly included.

    Returns:
        PARTITION and OFFSET of the repeated ones.
    """
    suspect = pl.col(ID).is_duplicated() | pl.col(ID).is_in(known[ID].unique().implode())
    suspects = arrivals.filter(suspect).sort(PARTITION, OFFSET)
    kept: dict[str, list[int]] = {}
    for identity, event_us in known.select(ID, EVENT_US).iter_rows():
        kept.setdefault(identity, []).append(event_us)
    flags = []
    for identity, event_us in suspects.select(ID, EVENT_US).iter_rows():
        times = kept.setdefault(identity, [])
        is_repeated = any(abs(event_us - time) <= within_us for time in times)
        flags.append(is_repeated)
        if not is_repeated:
            times.append(event_us)
    return suspects.filter(pl.Series(flags, dtype=pl.Boolean)).select(PARTITION, OFFSET)


def find_new(arrivals: pl.DataFrame, known: pl.DataFrame, identity: Sequence[str]) -> pl.DataFrame:
    """The positions of arrivals whose identity no row has yet; of several with one identity, the first.

    The caller must be the only writer of such rows.

    Args:
        arrivals: the columns of ``identity``, PARTITION and OFFSET.
        known: the columns of ``identity`` of the table's rows, others possibly included.
        identity: the columns that identify a row; null is a value like any other.

    Returns:
        PARTITION and OFFSET.
    """
    first = arrivals.sort(PARTITION, OFFSET).unique(list(identity), keep="first", maintain_order=True)
    new = first.join(known, on=list(identity), how="anti", nulls_equal=True)
    return new.select(PARTITION, OFFSET)
