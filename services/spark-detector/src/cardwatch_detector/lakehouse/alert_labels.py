"""``gold.alert_labels``: what analysts say of alerts, from the feedback topic, and how it comes to ``gold.alerts``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.values import ALERT_LABELS
from cardwatch_lakehouse.tables import GOLD_ALERT_LABELS, GOLD_ALERTS, Table
from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.decode import REASON, RECORD, Decoded
from cardwatch_detector.lakehouse.merge import MergeWriter
from cardwatch_detector.lakehouse.redact import HEADERS_TYPE, redacted
from cardwatch_detector.lakehouse.write import affected, once

_ID: Final = "alert_id"
# What gold.alerts has of a label.
_SHOWN: Final = ("label", "labelled_by", "labelled_at", "label_note")
# By which the last label of an alert is told. Within a partition the broker's time never falls.
_ORDER: Final = ("labelled_at", "feedback_broker_time", "feedback_partition", "feedback_offset")

# Beside what the micro-batch does for the alerts themselves.
_PART: Final = "feedback"


@dataclass(frozen=True)
class FeedbackWriter(MergeWriter):
    """Merges labels, and then puts them onto their alerts; one that no analyst could have given goes to quarantine.

    Attributes:
        alerts_written: called with the number of alerts whose label changed after each commit.
    """

    alerts_written: Callable[[int], None]

    part: ClassVar[str] = _PART

    def checked(self, messages: Decoded) -> Decoded:
        return _checked(messages)

    def write(self, messages: Decoded, batch_id: int) -> None:
        super().write(messages, batch_id)
        self.alerts_written(label_alerts(messages.records, self.tables_dir, batch_id))

    @property
    def table(self) -> Table:
        return GOLD_ALERT_LABELS

    def rows(self, messages: DataFrame) -> DataFrame:
        return _without_card_numbers(last_of_each(label_rows(messages)))

    def merge(self, known: Any, new: DataFrame) -> int:
        newer = f"struct({_columns('new')}) > struct({_columns('known')})"
        merged = (
            known.merge(new, f"known.{_ID} = new.{_ID}").whenMatchedUpdateAll(newer).whenNotMatchedInsertAll().execute()
        )
        return affected(merged, "num_affected_rows")


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


def last_of_each(rows: DataFrame) -> DataFrame:
    """Of several labels of one alert the one that holds."""
    return rows.groupBy(_ID).agg(F.max_by(F.struct(*rows.columns), F.struct(*_ORDER)).alias("row")).select("row.*")


def labelled(alerts: DataFrame, tables_dir: str) -> DataFrame:
    """Alerts with the labels that have come before them, null where there is none."""
    ids = alerts.select(_ID)
    labels = _labels(alerts, tables_dir).join(F.broadcast(ids), _ID, "left_semi")
    return alerts.join(F.broadcast(labels.select(_ID, *_SHOWN)), _ID, "left")


def label_alerts(messages: DataFrame, tables_dir: str, batch_id: int) -> int:
    """Put the labels that hold onto those alerts that a micro-batch says something of, once GOLD_ALERT_LABELS has them.

    Args:
        messages: of the feedback topic, decoded.

    Returns:
        The number of alerts whose label changed.
    """
    session = messages.sparkSession
    ids = messages.select(F.col(RECORD)[_ID].alias(_ID)).distinct()
    labels = _labels(messages, tables_dir).join(F.broadcast(ids), _ID, "left_semi").select(_ID, *_SHOWN)
    table = DeltaTable.forPath(session, GOLD_ALERTS.path(tables_dir))
    other = " OR ".join(f"NOT known.{name} <=> new.{name}" for name in _SHOWN)
    with once(session, GOLD_ALERTS, batch_id, _PART):
        merged = (
            table.alias("known")
            .merge(labels.alias("new"), f"known.{_ID} = new.{_ID}")
            .whenMatchedUpdate(other, {name: f"new.{name}" for name in _SHOWN})
            .execute()
        )
        return affected(merged, "num_affected_rows")


def _labels(frame: DataFrame, tables_dir: str) -> DataFrame:
    return frame.sparkSession.read.format("delta").load(GOLD_ALERT_LABELS.path(tables_dir))


def _columns(alias: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in _ORDER)


def _checked(messages: Decoded) -> Decoded:
    """The same, a label that is none of ALERT_LABELS refused."""
    is_label = F.col(RECORD)["label"].isin(list(ALERT_LABELS))
    wrong = messages.records.where(~is_label).count()
    if not wrong:
        return messages
    reason = F.when(F.col(REASON).isNull() & ~is_label, Reason.UNKNOWN_LABEL.value).otherwise(F.col(REASON))
    refused = {**messages.refused, Reason.UNKNOWN_LABEL.value: wrong}
    return Decoded(messages.messages.withColumn(REASON, reason), messages.good - wrong, refused)


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
