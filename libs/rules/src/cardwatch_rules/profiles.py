"""What a card usually does, put beside its transactions.

A profile is for the transactions of one UTC day, and arrives like a transaction does: with a time (the day's
beginning) and perhaps late, perhaps again with other figures. Of several for a day the last to arrive holds.
"""

from typing import Final

import polars as pl
from cardwatch_units.timestamps import MICROSECONDS_PER_DAY

from cardwatch_rules.expressions import polars_type
from cardwatch_rules.fields import PROFILE_KINDS

# Columns of arrivals that only profiles have, beside PROFILE_KINDS: whether a row is one, and when it came.
IS_PROFILE: Final = "is_profile"
ARRIVED: Final = "arrived"


def with_profiles(transactions: pl.DataFrame, profiles: pl.DataFrame) -> pl.DataFrame:
    """Transactions with the profiles of their cards on their days, columns PROFILE_KINDS; null where there is none.

    Args:
        transactions: with ``group`` and ``event_time`` (microseconds); their order stays.
        profiles: with ``group``, ``event_time`` (the beginning of the day that it is for, microseconds), ARRIVED
            (ascending with arrival) and PROFILE_KINDS.
    """
    day = pl.col("event_time") - pl.col("event_time").mod(MICROSECONDS_PER_DAY)
    last = (
        # Should two of one day come together, the one with more behind it is the later one.
        profiles.sort(ARRIVED, "profile.transactions_90d", maintain_order=True)
        .unique(["group", "event_time"], keep="last", maintain_order=True)
        .select("group", pl.col("event_time").alias("day"), *PROFILE_KINDS)
    )
    return transactions.join(
        last, left_on=["group", day], right_on=["group", "day"], how="left", maintain_order="left"
    ).drop("day", strict=False)


def no_profiles() -> list[pl.Expr]:
    """The columns PROFILE_KINDS where there are no profiles."""
    return [pl.lit(None, dtype=polars_type(kind)).alias(name) for name, kind in PROFILE_KINDS.items()]
