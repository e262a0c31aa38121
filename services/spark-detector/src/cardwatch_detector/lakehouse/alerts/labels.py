"""``gold.alert_labels``: what analysts say of alerts, from the feedback topic, and how it comes to ``gold.alerts``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

import polars as pl
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.values import ALERT_LABELS
from cardwatch_lakehouse.tables import GOLD_ALERT_LABELS, GOLD_ALERTS
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.card_numbers import HEADERS_TYPE, redacted
from cardwatch_detector.lakehouse.io.decode import RECORD, DecodedBatch
from cardwatch_detector.lakehouse.io.merge import update
from cardwatch_detector.lakehouse.io.read import (
    OFFSET,
    PARTITION,
    broadcast_rows,
    collect_rows,
    collect_with_position,
    read_table,
    where_in,
)
from cardwatch_detector.lakehouse.io.write import append, coalesce_to_few_files
from cardwatch_detector.lakehouse.topic_writer import TopicWriter

_ID: Final = "alert_id"
_SAME: Final = f"known.{_ID} = new.{_ID}"
# What gold.alerts has of a label.
_SHOWN: Final = ("label", "labelled_by", "labelled_at", "label_note")
# By which the last label of an alert is told: in the words of arrivals -> in the table's. Within a partition the
# broker's time never falls.
_ORDER: Final = {
    "labelled_at": "labelled_at",
    "timestamp": "feedback_broker_time",
    PARTITION: "feedback_partition",
    OFFSET: "feedback_offset",
}

# Beside what the micro-batch does for the alerts themselves.
_PART: Final = "feedback"
# Beside the labels that a micro-batch adds.
_CHANGED: Final = "changed"


@dataclass(frozen=True)
class FeedbackWriter(TopicWriter):
    """Keeps of each alert the label that holds, and puts it onto the alert.

    A label that no analyst could have given goes to quarantine. The table has this one writer, so that nothing comes in
    between looking and writing.

    Attributes:
        alerts_written: called with the number of alerts whose label changed after each commit.
    """

    alerts_written: Callable[[int], None]

    part: ClassVar[str] = _PART

    def refusal(self, record: Column) -> Column:
        return F.when(~record["label"].isin(list(ALERT_LABELS)), Reason.UNKNOWN_LABEL.value)

    def write(self, messages: DecodedBatch, batch_id: int) -> None:
        record = F.col(RECORD)
        arrivals = collect_with_position(
            messages.records, *(record[name].alias(name) for name in (_ID, "labelled_at")), "timestamp"
        )
        session = messages.session
        table = where_in(read_table(session, self.tables_dir, GOLD_ALERT_LABELS), _ID, arrivals[_ID])
        known = table.select(_ID, *(F.col(theirs).alias(name) for name, theirs in _ORDER.items()))
        new, changed = news(arrivals, collect_rows(known))
        if new.height:
            rows = _without_card_numbers(label_rows(messages.at(new)))
            append(coalesce_to_few_files(rows, new.height), GOLD_ALERT_LABELS, self.tables_dir, batch_id)
            self.written(new.height)
        if changed.height:
            rows = _without_card_numbers(label_rows(messages.at(changed)))
            self.written(update(rows, GOLD_ALERT_LABELS, self.tables_dir, _SAME, batch_id, _CHANGED))
        self.alerts_written(apply_labels(session, arrivals[_ID], self.tables_dir, batch_id))


def news(arrivals: pl.DataFrame, known: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of each alert the label that holds, if there is none yet or it comes after the one that there is.

    Args:
        arrivals: ``alert_id`` and those by which labels are ordered, PARTITION and OFFSET among them.
        known: the same of the labels that there are; there may be those of other alerts among them.

    Returns:
        Where those of alerts without a label are, PARTITION and OFFSET; and those that take the place of one.
    """
    there = "there"
    every = pl.concat(
        [arrivals.with_columns(pl.lit(False).alias(there)), known.with_columns(pl.lit(True).alias(there))],
        how="diagonal",
    )
    holds = every.sort(*_ORDER, there).unique(_ID, keep="last", maintain_order=True).filter(~pl.col(there))
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
    """The labels that alerts have so far: ``alert_id`` and what GOLD_ALERTS has of a label."""
    return collect_rows(
        where_in(read_table(session, tables_dir, GOLD_ALERT_LABELS), _ID, alert_ids).select(_ID, *_SHOWN)
    )


def join_labels(alerts: DataFrame, labels: pl.DataFrame) -> DataFrame:
    """Alerts with the labels that have come before them, null where there is none."""
    if labels.is_empty():
        return alerts.select("*", *(F.lit(None).cast(GOLD_ALERTS.columns[name]).alias(name) for name in _SHOWN))
    return alerts.join(broadcast_rows(labels, alerts.sparkSession), _ID, "left")


def apply_labels(session: SparkSession, alert_ids: pl.Series, tables_dir: str, batch_id: int) -> int:
    """Put the labels that hold onto those of the alerts that are there, once GOLD_ALERT_LABELS has them.

    Returns:
        The number of alerts whose label changed.
    """
    labels = read_labels(session, alert_ids, tables_dir)
    other = " OR ".join(f"NOT known.{name} <=> new.{name}" for name in _SHOWN)
    return update(broadcast_rows(labels, session), GOLD_ALERTS, tables_dir, _SAME, batch_id, _PART, _SHOWN, other)


def _without_card_numbers(rows: DataFrame) -> DataFrame:
    """What people write may hold anything."""
    note = rows.select(
        "*",
        F.lit(None).cast("binary").alias("key"),
        F.col("label_note").cast("binary").alias("value"),
        F.lit(None).cast(HEADERS_TYPE).alias("headers"),
    )
    masked, _ = redacted(note, F.lit(False))
    return masked.withColumn("label_note", F.decode("value", "UTF-8")).select(*rows.columns)
