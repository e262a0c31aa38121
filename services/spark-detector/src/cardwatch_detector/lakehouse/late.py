"""``bronze.late``: the transactions that came too late for a detector to evaluate, from the late topic."""

from typing import Any, Final

from cardwatch_lakehouse.tables import BRONZE_LATE, Table
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.decode import RECORD
from cardwatch_detector.lakehouse.merge import MergeWriter
from cardwatch_detector.lakehouse.write import affected
from cardwatch_detector.late_headers import DETECTOR, QUERY, SCOPES, SILVER_OFFSET, SILVER_PARTITION, WATERMARK_US

# A detector that was killed publishes the late ones of its last micro-batch again: with the same identity.
_IDENTITY: Final = (DETECTOR, QUERY, SILVER_PARTITION, SILVER_OFFSET)
# Somebody else's message, without the detector's headers, is one for itself.
_SAME: Final = " AND ".join(
    [
        *(f"known.{name} <=> new.{name}" for name in _IDENTITY),
        f"(new.{SILVER_OFFSET} IS NOT NULL OR (known.partition = new.partition AND known.offset = new.offset))",
    ]
)


class LateWriter(MergeWriter):
    """Inserts the late transactions that the table does not have yet."""

    @property
    def table(self) -> Table:
        return BRONZE_LATE

    def rows(self, messages: DataFrame) -> DataFrame:
        return first_of_each(late_rows(messages))

    def merge(self, known: Any, new: DataFrame) -> int:
        merged = known.merge(new, _SAME).whenNotMatchedInsertAll().execute()
        return affected(merged, "num_inserted_rows")


def late_rows(messages: DataFrame) -> DataFrame:
    """Columns of BRONZE_LATE from Kafka's and RECORD; null for a header that is missing or none of the detector's."""
    record = F.col(RECORD)
    watermark_us = _header(WATERMARK_US).try_cast("bigint")
    return messages.select(
        record["transaction_id"].alias("transaction_id"),
        record["event_time"].alias("event_time"),
        record["card_token"].alias("card_token"),
        _header(DETECTOR).alias(DETECTOR),
        _header(QUERY).alias(QUERY),
        F.split(_header(SCOPES), ",").alias(SCOPES),
        F.timestamp_micros(watermark_us).alias("watermark"),
        ((watermark_us - F.unix_micros(record["event_time"])) / F.lit(1e6)).alias("lateness_seconds"),
        _header(SILVER_PARTITION).try_cast("int").alias(SILVER_PARTITION),
        _header(SILVER_OFFSET).try_cast("bigint").alias(SILVER_OFFSET),
        "value",
        "partition",
        "offset",
        F.col("timestamp").alias("broker_time"),
    )


def first_of_each(rows: DataFrame) -> DataFrame:
    """Of several rows with one identity, that of the lowest partition and offset."""
    here = F.struct("partition", "offset")
    alone = F.when(F.col(SILVER_OFFSET).isNull(), here)
    first = F.min_by(F.struct(*rows.columns), here).alias("row")
    return rows.groupBy(*_IDENTITY, alone.alias("alone")).agg(first).select("row.*")


def _header(name: str) -> Column:
    found = F.filter("headers", lambda header: header["key"] == name)
    return F.decode(F.get(found, F.lit(0))["value"], "UTF-8")
