"""Profiles, the usual behaviour of a card, joined with the card's transactions.

A profile is for the transactions of one UTC day. It arrives like a transaction: with a time (the day's beginning),
perhaps late, and perhaps again with other values. Of several for a day, the last one to arrive is used.
"""

from typing import Final

import polars as pl
from cardwatch_units.timestamps import MICROSECONDS_PER_DAY

from cardwatch_rules.fields import PROFILE_KINDS

# The column of profiles with the order of their arrival.
ARRIVED: Final = "arrived"


def with_profiles(transactions: pl.DataFrame, profiles: pl.DataFrame) -> pl.DataFrame:
    """Transactions with the columns PROFILE_KINDS of their card's profile for their day; null if there is none.

    Args:
        transactions: with ``group`` and ``event_time`` (microseconds); their order stays.
        profiles: with ``group``, ``event_time`` (the beginning of the day that it is for, microseconds), ARRIVED
            (ascending with arrival) and PROFILE_KINDS.
    """
    day = pl.col("event_time") - pl.col("event_time").mod(MICROSECONDS_PER_DAY)
    last = (
        # Of two profiles of one day that arrive together, the one of more transactions is the later one.
        profiles.sort(ARRIVED, "profile.transactions_90d", maintain_order=True)
        .unique(["group", "event_time"], keep="last", maintain_order=True)
        .select("group", pl.col("event_time").alias("day"), *PROFILE_KINDS)
    )
    return transactions.join(
        last, left_on=["group", day], right_on=["group", "day"], how="left", maintain_order="left"
    ).drop("day", strict=False)
