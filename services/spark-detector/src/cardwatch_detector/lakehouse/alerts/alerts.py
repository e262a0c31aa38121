"""``gold.alerts``: one row per alert with its current status and label, from the alerts and the feedback topic."""

from dataclasses import dataclass
from typing import Final

import polars as pl
from cardwatch_lakehouse.tables import BRONZE_ALERT_EVENTS, GOLD_ALERTS
from cardwatch_units.timestamps import MICROSECONDS_PER_DAY
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.alerts.changed_alerts import BROKER_TIME, EVENT_FIELDS, KNOWN_FIELDS, find_changes
from cardwatch_detector.lakehouse.alerts.label_counts import LabelCounter
from cardwatch_detector.lakehouse.alerts.labels import FeedbackWriter, join_labels, read_labels
from cardwatch_detector.lakehouse.bronze.alert_events import IDENTITY, append_alert_events
from cardwatch_detector.lakehouse.io.decode import RECORD, DecodedBatch
from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, append, coalesce_to_few_files
from cardwatch_detector.lakehouse.io.merge import update_rows
from cardwatch_detector.lakehouse.io.read import cached, collect_rows, collect_with_position, read_table, where_in
from cardwatch_detector.lakehouse.io.time_ranges import time_filter, time_ranges
from cardwatch_detector.lakehouse.topic_writer import TopicWriter

_ID: Final = "alert_id"

# An alert's id is made of its transaction's, and all its events have that transaction's event time: the table need only
# be searched around it. The margin is for a transaction that a producer sent with several event times: what a detector
# takes for one transaction is less than twice its horizon (30 h by default) apart.
_SAME_WITHIN_US: Final = 3 * MICROSECONDS_PER_DAY

# The write that changes rows; the same micro-batch also appends the new alerts.
_PART: Final = "changed"


@dataclass(frozen=True)
class AlertAndFeedbackWriter:
    """Writes micro-batches that hold both topics: two queries that change one table would conflict.

    Alerts first, with the labels that came before them; then labels, for alerts that come later and onto those that are
    there. The result does not depend on which comes first.

    Attributes:
        feedback_topic: full name; every other message is an alert.
        label_counter: counts the labelled alerts.
    """

    feedback_topic: str
    alerts: "AlertWriter"
    feedback: FeedbackWriter
    label_counter: LabelCounter

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write one micro-batch; writing it again changes nothing."""
        is_feedback = F.col("topic") == self.feedback_topic
        # Read once: Spark counts the rows that a query takes in each time that they are read.
        with cached(batch) as messages:
            self.alerts(messages.where(~is_feedback), batch_id)
            labels = self.feedback(messages.where(is_feedback), batch_id)
        self.label_counter.update(batch.sparkSession, labels_came=labels > 0)


@dataclass(frozen=True)
class AlertWriter(TopicWriter):
    """Appends alert events as they are, then adds new alerts and updates those whose status has changed.

    Not a MERGE of all: most alerts are new, and a MERGE costs several times what a look-up and an append do. The
    table's statuses have only this writer, so that nothing can change between the look-up and the write.
    """

    def write(self, messages: DecodedBatch, batch_id: int) -> None:
        record = F.col(RECORD)
        fields = (*dict.fromkeys((*EVENT_FIELDS, *IDENTITY)), "event_time")
        arrivals = collect_with_position(
            messages.records, *(record[name].alias(name) for name in fields), F.col("timestamp").alias(BROKER_TIME)
        )
        events = append_alert_events(messages, arrivals, self.tables_dir, batch_id)
        self.counter.rows_written(BRONZE_ALERT_EVENTS, events)
        session = messages.session
        new, changed = find_changes(arrivals, self._known(session, arrivals))
        labels = read_labels(session, arrivals[_ID], self.tables_dir)
        if new.height:
            rows = join_labels(alert_rows(messages.at_positions(new)), labels)
            append(coalesce_to_few_files(rows, new.height), GOLD_ALERTS, self.tables_dir, WriteId(batch_id))
            self.counter.rows_written(GOLD_ALERTS, new.height)
        if changed.height:
            rows = join_labels(alert_rows(messages.at_positions(changed)), labels)
            match = f"known.{_ID} = new.{_ID} AND {_near(arrivals, 'known.event_time')}"
            updated = update_rows(rows, GOLD_ALERTS, self.tables_dir, WriteId(batch_id, _PART), match=match)
            self.counter.rows_written(GOLD_ALERTS, updated)

    def _known(self, session: SparkSession, arrivals: pl.DataFrame) -> pl.DataFrame:
        table = read_table(session, self.tables_dir, GOLD_ALERTS)
        near = table.where(_near(arrivals, "event_time"))
        return collect_rows(where_in(near, _ID, arrivals[_ID]).select(*KNOWN_FIELDS))


def _near(arrivals: pl.DataFrame, event_time: str) -> str:
    return time_filter(time_ranges(arrivals["event_time"].dt.epoch("us"), within_us=_SAME_WITHIN_US), event_time)


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
