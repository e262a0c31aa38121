"""Which messages hold a transaction that is there already.

A second message about a transaction (redelivery, a producer's retry, a redriven dead letter) repeats its id and its
event time. Two messages are about one transaction if they have the same id and event times at most ``within`` apart:
an event time that a retry stamped anew is still taken for the same, and a table need only be looked at around the event
times that a micro-batch brings, however much it holds.
"""

from typing import Final

import polars as pl

from cardwatch_detector.lakehouse.io.arrivals import OFFSET, PARTITION

# Columns of arrivals, beside where they are.
ID: Final = "transaction_id"
EVENT_US: Final = "event_us"


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
