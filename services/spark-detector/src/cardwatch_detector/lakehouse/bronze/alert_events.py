"""``bronze.alert_events``: what became of alerts and when, of which ``gold.alerts`` holds only the last."""

from typing import Final

import polars as pl
from cardwatch_lakehouse.tables import BRONZE_ALERT_EVENTS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.arrivals import among, collected
from cardwatch_detector.lakehouse.io.decode import RECORD, Decoded
from cardwatch_detector.lakehouse.io.read import held
from cardwatch_detector.lakehouse.io.time_ranges import in_stretches, stretches
from cardwatch_detector.lakehouse.io.unseen import unseen
from cardwatch_detector.lakehouse.io.write import append, in_few_files

# A detector that was killed publishes the events of its last micro-batch again: of the same status, by the same cause.
IDENTITY: Final = ("alert_id", "status", "suppressed_by", "raw_broker_time")
_TIME: Final = "raw_broker_time"


def keep_events(messages: Decoded, arrivals: pl.DataFrame, tables_dir: str, batch_id: int) -> int:
    """Append the events of a micro-batch that the table does not have yet; again changes nothing.

    Args:
        messages: of the alerts topic, at least one.
        arrivals: of the same, the columns of IDENTITY among them.

    Returns:
        The number of rows.
    """
    table = held(messages.session, tables_dir, BRONZE_ALERT_EVENTS)
    # Times that grow with the table: Delta leaves out the files of others.
    near = table.where(in_stretches(stretches(arrivals[_TIME].dt.epoch("us"), 0), _TIME))
    known = collected(among(near, "alert_id", arrivals["alert_id"]).select(*IDENTITY))
    new = unseen(arrivals, known, IDENTITY)
    if new.height:
        rows = in_few_files(event_rows(messages.at(new)), new.height)
        append(rows, BRONZE_ALERT_EVENTS, tables_dir, batch_id)
    return new.height


def event_rows(messages: DataFrame) -> DataFrame:
    """Columns of BRONZE_ALERT_EVENTS from Kafka's and RECORD."""
    record = F.col(RECORD)
    fields = (*IDENTITY, "rule_id", "mode")
    return messages.select(
        *(record[name].alias(name) for name in fields),
        "partition",
        "offset",
        F.col("timestamp").alias("broker_time"),
    )
