"""``gold.alerts``: one row an alert, with its current status, from the alerts topic."""

from typing import Any, Final

from cardwatch_lakehouse.tables import GOLD_ALERTS, Table
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.decode import RECORD
from cardwatch_detector.lakehouse.merge import MergeWriter
from cardwatch_detector.lakehouse.write import affected

_ID: Final = "alert_id"

# Whether an event is newer than the row. An alert's events have one key, hence one partition, unless the topic was
# given more partitions in between: then the broker's clock decides. An event that only repeats what the row says is no
# news.
_NEWER: Final = (
    "(new.status <> known.status OR NOT new.suppressed_by <=> known.suppressed_by) AND "
    "CASE WHEN new.alert_partition = known.alert_partition THEN new.alert_offset > known.alert_offset "
    "ELSE new.alert_broker_time > known.alert_broker_time END"
)


class AlertWriter(MergeWriter):
    """Merges alert events."""

    @property
    def table(self) -> Table:
        return GOLD_ALERTS

    def rows(self, messages: DataFrame) -> DataFrame:
        return last_of_each(alert_rows(messages))

    def merge(self, known: Any, new: DataFrame) -> int:
        merged = (
            known.merge(new, f"known.{_ID} = new.{_ID}")
            .whenMatchedUpdateAll(_NEWER)
            .whenNotMatchedInsertAll()
            .execute()
        )
        return affected(merged, "num_affected_rows")


def alert_rows(messages: DataFrame) -> DataFrame:
    """Columns of GOLD_ALERTS from Kafka's and RECORD."""
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
