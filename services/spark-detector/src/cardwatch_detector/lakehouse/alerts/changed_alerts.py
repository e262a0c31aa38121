"""Finds the alert events that add a row to ``gold.alerts`` or change one."""

from typing import Final

import polars as pl

from cardwatch_detector.lakehouse.io.read import OFFSET, PARTITION

_ID: Final = "alert_id"
EVENT_FIELDS: Final = (_ID, "status", "suppressed_by")
"""The content of an event; an event that repeats it changes nothing."""
BROKER_TIME: Final = "broker_time"
"""When the broker appended the event."""
KNOWN_FIELDS: Final = (*EVENT_FIELDS, "alert_partition", "alert_offset", "alert_broker_time")
"""The same of a row of ``gold.alerts``, and the position of the event that it comes from."""


def find_changes(arrivals: pl.DataFrame, known: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The last event of each alert, if the table does not show it yet.

    An alert's events have one key, hence one partition, unless partitions were added to the topic in between: then
    the broker's clock decides.

    Args:
        arrivals: EVENT_FIELDS, BROKER_TIME, PARTITION, OFFSET.
        known: KNOWN_FIELDS of the table's rows, other alerts' possibly included.

    Returns:
        PARTITION and OFFSET of the events of alerts without a row; and of those that are newer than the row and differ.
    """
    here = pl.col(PARTITION)
    last_in_partition = arrivals.sort(OFFSET).unique([_ID, PARTITION], keep="last", maintain_order=True)
    last = last_in_partition.sort(BROKER_TIME, PARTITION).unique(_ID, keep="last", maintain_order=True)
    with_row = last.join(known, on=_ID, how="inner", suffix="_known")
    other = ~pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_known")) for name in EVENT_FIELDS[1:])
    later = (
        pl.when(here == pl.col("alert_partition"))
        .then(pl.col(OFFSET) > pl.col("alert_offset"))
        .otherwise(pl.col(BROKER_TIME) > pl.col("alert_broker_time"))
    )
    new, changed = last.join(known, on=_ID, how="anti"), with_row.filter(other & later)
    return new.select(PARTITION, OFFSET), changed.select(PARTITION, OFFSET)
