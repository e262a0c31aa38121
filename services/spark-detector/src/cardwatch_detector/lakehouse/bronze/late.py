"""``bronze.late``: transactions that were too late for a detector to evaluate, from the late topic."""

from typing import Final

import polars as pl
from cardwatch_contracts.late_headers import (
    DETECTOR,
    QUERY,
    SCOPES,
    SILVER_OFFSET,
    SILVER_PARTITION,
    WATERMARK_US,
)
from cardwatch_lakehouse.tables import BRONZE_LATE
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.decode import RECORD, DecodedBatch
from cardwatch_detector.lakehouse.io.duplicates import find_new
from cardwatch_detector.lakehouse.io.event_times import implausible_time
from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, append, coalesce_to_few_files
from cardwatch_detector.lakehouse.io.read import (
    OFFSET,
    PARTITION,
    collect_rows,
    collect_with_position,
    read_table,
    where_in,
)
from cardwatch_detector.lakehouse.topic_writer import TopicWriter

# The position of a message without the detector's headers, null for all others.
_OWN_PARTITION: Final = "own_partition"
_OWN_OFFSET: Final = "own_offset"
# A detector that was killed publishes the late transactions of its last micro-batch again, with the same identity. A
# third-party message without the detector's headers is identified by its own position.
_IDENTITY: Final = (DETECTOR, QUERY, SILVER_PARTITION, SILVER_OFFSET, _OWN_PARTITION, _OWN_OFFSET)


class LateWriter(TopicWriter):
    """Appends the late transactions that the table does not have yet. It must be the table's only writer."""

    def refusal_reason(self, record: Column) -> Column:
        return implausible_time(record)

    def write(self, messages: DecodedBatch, batch_id: int) -> None:
        arrivals = collect_with_position(late_rows(messages.records), *_identity())
        new = find_new(arrivals, self._known(messages.session, arrivals), _IDENTITY)
        if new.height:
            rows = coalesce_to_few_files(late_rows(messages.at_positions(new)), new.height)
            append(rows, BRONZE_LATE, self.tables_dir, WriteId(batch_id))
            self.counter.rows_written(BRONZE_LATE, new.height)

    def _known(self, session: SparkSession, arrivals: pl.DataFrame) -> pl.DataFrame:
        table = read_table(session, self.tables_dir, BRONZE_LATE)
        without_headers = table.where(F.col(SILVER_OFFSET).isNull())
        lookups = ((table, SILVER_OFFSET, arrivals[SILVER_OFFSET]), (without_headers, OFFSET, arrivals[_OWN_OFFSET]))
        found = [
            collect_rows(where_in(rows, column, values).select(*_identity()))
            for rows, column, values in lookups
            if values.count()
        ]
        return pl.concat(found)


def _identity() -> list[Column]:
    without_headers = F.col(SILVER_OFFSET).isNull()
    return [
        *(F.col(name) for name in (DETECTOR, QUERY, SILVER_PARTITION, SILVER_OFFSET)),
        F.when(without_headers, F.col(PARTITION)).alias(_OWN_PARTITION),
        F.when(without_headers, F.col(OFFSET)).alias(_OWN_OFFSET),
    ]


def late_rows(messages: DataFrame) -> DataFrame:
    """Columns of BRONZE_LATE from Kafka's and RECORD; null for a header that is missing or not valid."""
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
        # As floating-point numbers: a header may hold any number of 64 bits, and the difference of two may be none.
        ((watermark_us.cast("double") - F.unix_micros(record["event_time"])) / F.lit(1e6)).alias("lateness_seconds"),
        _header(SILVER_PARTITION).try_cast("int").alias(SILVER_PARTITION),
        _header(SILVER_OFFSET).try_cast("bigint").alias(SILVER_OFFSET),
        "value",
        "partition",
        "offset",
        F.col("timestamp").alias("broker_time"),
    )


def _header(name: str) -> Column:
    found = F.filter("headers", lambda header: header["key"] == name)
    return F.decode(F.get(found, F.lit(0))["value"], "UTF-8")
