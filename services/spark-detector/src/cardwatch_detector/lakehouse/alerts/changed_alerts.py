"""What events say of alerts that their rows do not say yet."""

from typing import Final

import polars as pl

from cardwatch_detector.lakehouse.io.read import OFFSET, PARTITION

_ID: Final = "alert_id"
SAID: Final = (_ID, "status", "suppressed_by")
"""What an event says; repeating it is no news."""
WHEN: Final = "broker_time"
"""When the broker took the event."""
KNOWN: Final = (*SAID, "alert_partition", "alert_offset", "alert_broker_time")
"""What a row of ``gold.alerts`` says, and which event it has that from."""


def news(arrivals: pl.DataFrame, known: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of each alert the last event, if it is news.

    An alert's events have one key, hence one partition, unless the topic was given more partitions in between: then
    the broker's clock decides.

    Args:
        arrivals: SAID, WHEN, PARTITION, OFFSET.
        known: KNOWN of the rows that there are; there may be other alerts among them.

    Returns:
        Where those of alerts without a row are, PARTITION and OFFSET; and those that say something newer than the row.
    """
    here = pl.col(PARTITION)
    last_in_partition = arrivals.sort(OFFSET).unique([_ID, PARTITION], keep="last", maintain_order=True)
    last = last_in_partition.sort(WHEN, PARTITION).unique(_ID, keep="last", maintain_order=True)
    with_row = last.join(known, on=_ID, how="inner", suffix="_known")
    other = ~pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_known")) for name in SAID[1:])
    later = (
        pl.when(here == pl.col("alert_partition"))
        .then(pl.col(OFFSET) > pl.col("alert_offset"))
        .otherwise(pl.col(WHEN) > pl.col("alert_broker_time"))
    )
    new, changed = last.join(known, on=_ID, how="anti"), with_row.filter(other & later)
    return new.select(PARTITION, OFFSET), changed.select(PARTITION, OFFSET)
