"""Messages that say what no row says yet: for tables that are appended to, and may be brought the same thing again."""

from collections.abc import Sequence

import polars as pl

from cardwatch_detector.lakehouse.io.arrivals import OFFSET, PARTITION


def unseen(arrivals: pl.DataFrame, known: pl.DataFrame, identity: Sequence[str]) -> pl.DataFrame:
    """Where the messages are that bring something new; of several that bring the same, the first.

    Only right if nobody else adds such rows meanwhile.

    Args:
        arrivals: the columns of ``identity``, PARTITION and OFFSET.
        known: the columns of ``identity`` of the rows that there are; there may be others among them.
        identity: the columns that tell apart what is brought; null is a value like any other.

    Returns:
        PARTITION and OFFSET.
    """
    first = arrivals.sort(PARTITION, OFFSET).unique(list(identity), keep="first", maintain_order=True)
    new = first.join(known, on=list(identity), how="anti", nulls_equal=True)
    return new.select(PARTITION, OFFSET)
