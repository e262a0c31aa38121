"""``gold.alert_labels``: the labels that analysts give alerts, from the feedback topic, and onto ``gold.alerts``."""

from dataclasses import dataclass
from typing import ClassVar, Final

import polars as pl
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.values import ALERT_LABELS
from cardwatch_lakehouse.tables import GOLD_ALERT_LABELS, GOLD_ALERTS
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.card_numbers import HEADERS_TYPE, mask_card_numbers
from cardwatch_detector.lakehouse.io.decode import RECORD, DecodedBatch
from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, append, coalesce_to_few_files
from cardwatch_detector.lakehouse.io.merge import update_rows
from cardwatch_detector.lakehouse.io.read import (
    OFFSET,
    PARTITION,
    broadcast_rows,
    collect_rows,
    collect_with_position,
    read_table,
    where_in,
)
from cardwatch_detector.lakehouse.topic_writer import TopicWriter

_ID: Final = "alert_id"
_SAME_ALERT: Final = f"known.{_ID} = new.{_ID}"
# The columns of gold.alerts that hold a label.
_LABEL_COLUMNS: Final = ("label", "labelled_by", "labelled_at", "label_note")
# The order of an alert's labels, of which the last one holds: columns of arrivals -> the table's. Within a partition
# the broker's time never decreases.
_ORDER: Final = {
    "labelled_at": "labelled_at",
    "timestamp": "feedback_broker_time",
    PARTITION: "feedback_partition",
    OFFSET: "feedback_offset",
}

# The write of labels to gold.alerts; the same micro-batch also writes the alerts themselves.
_PART: Final = "feedback"
# The write that replaces labels; the same micro-batch also appends new ones.
_CHANGED: Final = "changed"


@dataclass(frozen=True)
class FeedbackWriter(TopicWriter):
    """Keeps the last label of each alert, and sets it on the alert.

    A label that no analyst could have given goes to quarantine. The table has only this writer, so that nothing can
    change between the look-up and the write.
    """

    part: ClassVar[str] = _PART

    def refusal_reason(self, record: Column) -> Column:
        return F.when(~record["label"].isin(list(ALERT_LABELS)), Reason.UNKNOWN_LABEL.value)

    def write(self, messages: DecodedBatch, batch_id: int) -> None:
        record = F.col(RECORD)
        arrivals = collect_with_position(
            messages.records, *(record[name].alias(name) for name in (_ID, "labelled_at")), "timestamp"
        )
        session = messages.session
        table = where_in(read_table(session, self.tables_dir, GOLD_ALERT_LABELS), _ID, arrivals[_ID])
        known = table.select(_ID, *(F.col(theirs).alias(name) for name, theirs in _ORDER.items()))
        new, changed = find_label_changes(arrivals, collect_rows(known))
        if new.height:
            rows = _without_card_numbers(label_rows(messages.at_positions(new)))
            append(coalesce_to_few_files(rows, new.height), GOLD_ALERT_LABELS, self.tables_dir, WriteId(batch_id))
            self.counter.rows_written(GOLD_ALERT_LABELS, new.height)
        if changed.height:
            rows = _without_card_numbers(label_rows(messages.at_positions(changed)))
            write_id = WriteId(batch_id, _CHANGED)
            updated = update_rows(rows, GOLD_ALERT_LABELS, self.tables_dir, write_id, match=_SAME_ALERT)
            self.counter.rows_written(GOLD_ALERT_LABELS, updated)
        labelled = apply_labels(session, arrivals[_ID], self.tables_dir, batch_id)
        self.counter.rows_written(GOLD_ALERTS, labelled)


def find_label_changes(arrivals: pl.DataFrame, known: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The last label of each alert, if the alert has none yet or an earlier one.

    Args:
        arrivals: ``alert_id`` and the columns that order labels, PARTITION and OFFSET included.
        known: the same of the table's labels, other alerts' possibly included.

    Returns:
        PARTITION and OFFSET of the labels of alerts without one; and of those that replace one.
    """
    is_known = "is_known"
    every = pl.concat(
        [arrivals.with_columns(pl.lit(False).alias(is_known)), known.with_columns(pl.lit(True).alias(is_known))],
        how="diagonal",
    )
    holds = every.sort(*_ORDER, is_known).unique(_ID, keep="last", maintain_order=True).filter(~pl.col(is_known))
    has_one = pl.col(_ID).is_in(known[_ID].implode())
    return holds.filter(~has_one).select(PARTITION, OFFSET), holds.filter(has_one).select(PARTITION, OFFSET)


def label_rows(messages: DataFrame) -> DataFrame:
    """Columns of GOLD_ALERT_LABELS from Kafka's and RECORD."""
    record = F.col(RECORD)
    return messages.select(
        record[_ID].alias(_ID),
        record["label"].alias("label"),
        record["labelled_by"].alias("labelled_by"),
        record["labelled_at"].alias("labelled_at"),
        record["note"].alias("label_note"),
        F.col("partition").alias("feedback_partition"),
        F.col("offset").alias("feedback_offset"),
        F.col("timestamp").alias("feedback_broker_time"),
    )


def read_labels(session: SparkSession, alert_ids: pl.Series, tables_dir: str) -> pl.DataFrame:
    """The labels that some alerts have so far: ``alert_id`` and the label columns of GOLD_ALERTS."""
    return collect_rows(
        where_in(read_table(session, tables_dir, GOLD_ALERT_LABELS), _ID, alert_ids).select(_ID, *_LABEL_COLUMNS)
    )


def join_labels(alerts: DataFrame, labels: pl.DataFrame) -> DataFrame:
    """Alerts with the labels that came before them, null where there is none."""
    if labels.is_empty():
        return alerts.select("*", *(F.lit(None).cast(GOLD_ALERTS.columns[name]).alias(name) for name in _LABEL_COLUMNS))
    return alerts.join(broadcast_rows(labels, alerts.sparkSession), _ID, "left")


def apply_labels(session: SparkSession, alert_ids: pl.Series, tables_dir: str, batch_id: int) -> int:
    """Set the labels of GOLD_ALERT_LABELS on those of the alerts that GOLD_ALERTS has.

    Returns:
        The number of alerts whose label changed.
    """
    labels = read_labels(session, alert_ids, tables_dir)
    differs = " OR ".join(f"NOT known.{name} <=> new.{name}" for name in _LABEL_COLUMNS)
    return update_rows(
        broadcast_rows(labels, session),
        GOLD_ALERTS,
        tables_dir,
        WriteId(batch_id, _PART),
        match=_SAME_ALERT,
        columns=_LABEL_COLUMNS,
        condition=differs,
    )


def _without_card_numbers(rows: DataFrame) -> DataFrame:
    """Mask card numbers in notes: people may write anything."""
    note = rows.select(
        "*",
        F.lit(None).cast("binary").alias("key"),
        F.col("label_note").cast("binary").alias("value"),
        F.lit(None).cast(HEADERS_TYPE).alias("headers"),
    )
    masked, _ = mask_card_numbers(note)
    return masked.withColumn("label_note", F.decode("value", "UTF-8")).select(*rows.columns)
