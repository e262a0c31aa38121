"""``bronze.alert_events``: what became of alerts and when, of which ``gold.alerts`` holds only the last."""

from typing import Final

from cardwatch_lakehouse.tables import BRONZE_ALERT_EVENTS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.decode import RECORD
from cardwatch_detector.lakehouse.unseen import unseen
from cardwatch_detector.lakehouse.write import append, cached

# A detector that was killed publishes the events of its last micro-batch again: of the same status, by the same cause.
_IDENTITY: Final = ("alert_id", "status", "suppressed_by", "raw_broker_time")


def keep_events(messages: DataFrame, tables_dir: str, batch_id: int) -> int:
    """Append the events of a micro-batch that the table does not have yet; again changes nothing.

    Args:
        messages: Kafka's columns and RECORD; at least one.

    Returns:
        The number of rows.
    """
    table = messages.sparkSession.read.format("delta").load(BRONZE_ALERT_EVENTS.path(tables_dir))
    with cached(unseen(first_of_each(event_rows(messages)), table, _IDENTITY, "raw_broker_time")) as new:
        count = new.count()
        if count:
            append(new.coalesce(1), BRONZE_ALERT_EVENTS, tables_dir, batch_id)
    return count


def event_rows(messages: DataFrame) -> DataFrame:
    """Columns of BRONZE_ALERT_EVENTS from Kafka's and RECORD."""
    record = F.col(RECORD)
    fields = ("alert_id", "status", "suppressed_by", "raw_broker_time", "rule_id", "mode")
    return messages.select(
        *(record[name].alias(name) for name in fields),
        "partition",
        "offset",
        F.col("timestamp").alias("broker_time"),
    )


def first_of_each(rows: DataFrame) -> DataFrame:
    """Of several rows of one event, that of the lowest partition and offset."""
    first = F.min_by(F.struct(*rows.columns), F.struct("partition", "offset")).alias("row")
    return rows.groupBy(*_IDENTITY).agg(first).select("row.*")
