"""Event times that no transaction has, and that readers of the tables could not hold."""

from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.values import EARLIEST_EVENT_TIME, LATEST_EVENT_TIME
from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention


def implausible_time(record: Column) -> Column:
    """The reason code to refuse a transaction for its ``event_time``; null for a plausible one.

    The enricher lets none of them pass: such a message was written by somebody else. A year of five digits would make a
    partition of the table that only Spark can read.
    """
    plausible = F.unix_micros(record["event_time"]).between(EARLIEST_EVENT_TIME, LATEST_EVENT_TIME - 1)
    return F.when(~plausible, Reason.EVENT_TIME_IMPLAUSIBLE.value)
