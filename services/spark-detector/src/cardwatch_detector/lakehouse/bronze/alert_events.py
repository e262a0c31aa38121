"""``bronze.alert_events``: every event of every alert, of which ``gold.alerts`` shows only the last."""

from typing import Final

import polars as pl
from cardwatch_lakehouse.tables import BRONZE_ALERT_EVENTS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.decode import RECORD, DecodedBatch
from cardwatch_detector.lakehouse.io.duplicates import find_new
from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, append, coalesce_to_few_files
from cardwatch_detector.lakehouse.io.read import collect_rows, read_table, where_in
from cardwatch_detector.lakehouse.io.time_ranges import time_filter, time_ranges

# A detector that was killed publishes the events of its last micro-batch again: of the same status, by the same cause.
IDENTITY: Final = ("alert_id", "status", "suppressed_by", "raw_broker_time")
_TIME: Final = "raw_broker_time"


def append_alert_events(messages: DecodedBatch, arrivals: pl.DataFrame, tables_dir: str, batch_id: int) -> int:
    """Append the events of a micro-batch that the table does not have yet; repeating it changes nothing.

    Args:
        messages: of the alerts topic, at least one.
        arrivals: columns of the same messages, those of IDENTITY included.

    Returns:
        The number of rows.
    """
    table = read_table(messages.session, tables_dir, BRONZE_ALERT_EVENTS)
    # These times grow with the table, so that Delta skips most files.
    near = table.where(time_filter(time_ranges(arrivals[_TIME].dt.epoch("us"), within_us=0), _TIME))
    known = collect_rows(where_in(near, "alert_id", arrivals["alert_id"]).select(*IDENTITY))
    new = find_new(arrivals, known, IDENTITY)
    if new.height:
        rows = coalesce_to_few_files(event_rows(messages.at_positions(new)), new.height)
        append(rows, BRONZE_ALERT_EVENTS, tables_dir, WriteId(batch_id))
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
