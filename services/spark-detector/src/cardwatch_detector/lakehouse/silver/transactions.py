"""``silver.transactions``: one row per transaction, from the silver topic."""

from dataclasses import dataclass, field
from typing import Final

import polars as pl
from cardwatch_lakehouse.tables import SILVER_TRANSACTIONS
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.decode import RECORD, DecodedBatch
from cardwatch_detector.lakehouse.io.duplicates import EVENT_US, ID, find_repeated
from cardwatch_detector.lakehouse.io.event_times import implausible_time
from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, append, coalesce_to_few_files
from cardwatch_detector.lakehouse.io.read import (
    OFFSET,
    PARTITION,
    broadcast_rows,
    collect_rows,
    collect_with_position,
    read_table,
    where_in,
)
from cardwatch_detector.lakehouse.io.time_ranges import time_filter, time_ranges
from cardwatch_detector.lakehouse.topic_writer import TopicWriter
from cardwatch_detector.runtime.session_settings import BatchSize, temporary_settings

# Rows that are only scanned cost little each. How many of them the filter leaves is not known, only the table's total.
_MANY_SCANNED_ROWS: Final = 50_000


@dataclass(frozen=True)
class SilverWriter(TopicWriter):
    """Appends the transactions that the table does not have yet.

    Not a MERGE, which would join every row with a part of the table where only the few repeated ones must be found. The
    table has only this writer, so that no row can appear between the look-up and the append.

    Attributes:
        within_us: how far apart the event times of messages about one transaction may be, microseconds.
    """

    within_us: int
    _size: BatchSize = field(default_factory=BatchSize, init=False)
    _in_table: BatchSize = field(default_factory=lambda: BatchSize(many_rows=_MANY_SCANNED_ROWS), init=False)

    def __call__(self, batch: DataFrame, batch_id: int) -> int:
        self._size.estimate_first(batch)
        with temporary_settings(batch.sparkSession, self._size.settings()):
            return super().__call__(batch, batch_id)

    def refusal_reason(self, record: Column) -> Column:
        return implausible_time(record)

    def write(self, messages: DecodedBatch, batch_id: int) -> None:
        self._size.rows = messages.record_count
        with temporary_settings(messages.session, self._size.settings()):
            self._append(messages, batch_id)

    def _append(self, messages: DecodedBatch, batch_id: int) -> None:
        records = messages.records
        repeated = self._repeated(records)
        number = messages.record_count - repeated.height
        if repeated.height:
            records = records.join(broadcast_rows(repeated, messages.session), [PARTITION, OFFSET], "left_anti")
        if number:
            rows = coalesce_to_few_files(silver_rows(records), number)
            append(rows, SILVER_TRANSACTIONS, self.tables_dir, WriteId(batch_id))
            self._in_table.rows = (self._in_table.rows or 0) + number
            self.counter.rows_written(SILVER_TRANSACTIONS, number)

    def _repeated(self, records: DataFrame) -> pl.DataFrame:
        """PARTITION and OFFSET of the messages whose transaction the table has already."""
        identity = F.col(RECORD)[ID].alias(ID)
        event_us = F.unix_micros(F.col(RECORD)["event_time"]).alias(EVENT_US)
        arrivals = collect_with_position(records, identity, event_us)
        where = time_filter(time_ranges(arrivals[EVENT_US], within_us=self.within_us), "event_time", day="event_date")
        table = read_table(records.sparkSession, self.tables_dir, SILVER_TRANSACTIONS)
        if self._in_table.rows is None:
            self._in_table.rows = table.count()  # of the log alone
        with temporary_settings(table.sparkSession, self._in_table.settings()):
            found = where_in(table.where(where), ID, arrivals[ID])
            known = collect_rows(found.select(ID, F.unix_micros("event_time").alias(EVENT_US)))
        return find_repeated(arrivals, known, self.within_us)


def silver_rows(messages: DataFrame) -> DataFrame:
    """Columns of SILVER_TRANSACTIONS from Kafka's and RECORD."""
    return messages.select(
        f"{RECORD}.*",
        F.col("partition").alias("silver_partition"),
        F.col("offset").alias("silver_offset"),
        F.col("timestamp").alias("silver_broker_time"),
        F.to_date(F.col(RECORD)["event_time"]).alias("event_date"),
    )
