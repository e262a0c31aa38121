"""``gold.alerts``: one row an alert, with its current status and label, from the alerts and the feedback topic."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from cardwatch_lakehouse.tables import GOLD_ALERTS, Table
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.alert_events import keep_events
from cardwatch_detector.lakehouse.alert_labels import FeedbackWriter, labelled
from cardwatch_detector.lakehouse.decode import RECORD, Decoded
from cardwatch_detector.lakehouse.merge import MergeWriter
from cardwatch_detector.lakehouse.stretches import in_stretches, stretches
from cardwatch_detector.lakehouse.verdicts import Verdicts
from cardwatch_detector.lakehouse.write import affected, cached

_ID: Final = "alert_id"

# An alert's id is made of its transaction's, and all its events have that transaction's event time: only there need the
# table be looked at, whatever it holds. The margin is for a transaction that a producer sent with several times: what a
# detector takes for one is less than twice its horizon (30 h by default) apart.
_SAME_WITHIN_US: Final = 3 * 24 * 3600 * 1_000_000

# Whether an event is newer than the row. An alert's events have one key, hence one partition, unless the topic was
# given more partitions in between: then the broker's clock decides. An event that only repeats what the row says is no
# news.
_NEWER: Final = (
    "(new.status <> known.status OR NOT new.suppressed_by <=> known.suppressed_by) AND "
    "CASE WHEN new.alert_partition = known.alert_partition THEN new.alert_offset > known.alert_offset "
    "ELSE new.alert_broker_time > known.alert_broker_time END"
)


@dataclass(frozen=True)
class AlertAndFeedbackWriter:
    """Writes micro-batches that hold both topics: two queries that merged into one table would get in each other's way.

    Alerts first, with the labels that have come before; then labels, for alerts that come later and onto those that are
    there. Whichever comes first, the end is the same.

    Attributes:
        feedback_topic: full name; every other message is an alert.
        verdicts: counts the labels that hold.
    """

    feedback_topic: str
    alerts: "AlertWriter"
    feedback: FeedbackWriter
    verdicts: Verdicts

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write one micro-batch; writing it again changes nothing."""
        with cached(batch) as messages:
            is_feedback = F.col("topic") == self.feedback_topic
            present = {row[0] for row in messages.select(is_feedback).distinct().collect()}
            if False in present:
                self.alerts(messages.where(~is_feedback), batch_id)
            if True in present:
                self.feedback(messages.where(is_feedback), batch_id)
        self.verdicts.after(batch.sparkSession, labels_came=True in present)


@dataclass(frozen=True)
class AlertWriter(MergeWriter):
    """Merges alert events; before that, keeps them as they are.

    Attributes:
        events_written: called with the number of events after each commit.
    """

    events_written: Callable[[int], None]

    def write(self, messages: Decoded, batch_id: int) -> None:
        self.events_written(keep_events(messages.records, self.tables_dir, batch_id))
        super().write(messages, batch_id)

    @property
    def table(self) -> Table:
        return GOLD_ALERTS

    def rows(self, messages: DataFrame) -> DataFrame:
        return labelled(last_of_each(alert_rows(messages)), self.tables_dir)

    def merge(self, known: Any, new: DataFrame) -> int:
        times = pl.Series(
            [at for (at,) in new.select(F.unix_micros("event_time")).distinct().collect()], dtype=pl.Int64
        )
        near = in_stretches(stretches(times, _SAME_WITHIN_US), "known.event_time")
        merged = (
            known.merge(new, f"known.{_ID} = new.{_ID} AND {near}")
            .whenMatchedUpdateAll(_NEWER)
            .whenNotMatchedInsertAll()
            .execute()
        )
        return affected(merged, "num_affected_rows")


def alert_rows(messages: DataFrame) -> DataFrame:
    """Columns of GOLD_ALERTS but the label, from Kafka's and RECORD."""
    return messages.select(
        f"{RECORD}.*",
        F.col("partition").alias("alert_partition"),
        F.col("offset").alias("alert_offset"),
        F.col("timestamp").alias("alert_broker_time"),
    ).withColumn("measures", F.transform("measures", _measure))


def _measure(measure: Column) -> Column:
    # Avro's union of long and double is a struct in Spark, one of whose members is not null.
    whole, fraction = measure["value"]["member0"], measure["value"]["member1"]
    return F.struct(
        measure["name"].alias("name"),
        measure["expression"].alias("expression"),
        measure["window_us"].alias("window_us"),
        F.coalesce(fraction, whole.cast("double")).alias("value"),
        whole.alias("value_long"),
        measure["text"].alias("text"),
    )


def last_of_each(rows: DataFrame) -> DataFrame:
    """Of several rows with one alert id the last: by offset within a partition, by broker time between partitions."""
    whole = F.struct(*rows.columns)
    return (
        rows.groupBy(_ID, "alert_partition")
        .agg(F.max_by(whole, "alert_offset").alias("row"))
        .groupBy(_ID)
        .agg(F.max_by("row", F.col("row")["alert_broker_time"]).alias("row"))
        .select("row.*")
    )
