"""Writes the dead letters of all services to ``bronze.quarantine``."""

from dataclasses import dataclass
from typing import Final

import polars as pl
from cardwatch_card_numbers.exemptions import NO_FIELDS
from cardwatch_lakehouse.tables import BRONZE_QUARANTINE
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.card_numbers import mask_card_numbers
from cardwatch_detector.lakehouse.io.decode import REASON, RECORD, DecodedBatch
from cardwatch_detector.lakehouse.io.duplicates import find_new
from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, append, coalesce_to_few_files
from cardwatch_detector.lakehouse.io.read import collect_rows, collect_with_position, read_table, where_in
from cardwatch_detector.lakehouse.topic_writer import TopicWriter

# A service that is killed before it commits its position refuses the same messages again. Which message that was: the
# dead letter's field -> the table's column.
_SOURCE: Final = {"source_topic": "topic", "source_partition": "partition", "source_offset": "offset"}
_IDENTITY: Final = ("service", *_SOURCE)

# The write of other services' dead letters; the lakehouse itself may refuse messages in the same micro-batch.
_PART: Final = "dead_letters"


@dataclass(frozen=True)
class DeadLetterTableWriter(TopicWriter):
    """Appends the dead letters that the table does not have yet; a message that is not a dead letter is quarantined.

    Not a MERGE, which would conflict with the other queries' appends in Delta. Dead letters have only this writer, so
    that no row can appear between the look-up and the append.

    Attributes:
        exempt_fields: fields of transactions whose numbers are not searched for card numbers.
    """

    exempt_fields: frozenset[str] = NO_FIELDS

    def write(self, messages: DecodedBatch, batch_id: int) -> None:
        arrivals = collect_with_position(messages.records, *(F.col(RECORD)[name].alias(name) for name in _IDENTITY))
        new = find_new(arrivals, self._known(messages.session, arrivals), _IDENTITY)
        if new.height:
            rows, _ = mask_card_numbers(letter_rows(messages.at_positions(new)), self.exempt_fields)
            rows = rows.withColumn("redacted", F.col("redacted") | F.col("redacted_before")).drop("redacted_before")
            append(
                coalesce_to_few_files(rows, new.height), BRONZE_QUARANTINE, self.tables_dir, WriteId(batch_id, _PART)
            )
            self.counter.rows_written(BRONZE_QUARANTINE, new.height)

    def _known(self, session: SparkSession, arrivals: pl.DataFrame) -> pl.DataFrame:
        table = read_table(session, self.tables_dir, BRONZE_QUARANTINE)
        found = where_in(table, "offset", arrivals["source_offset"])
        return collect_rows(found.select("service", *(F.col(name).alias(source) for source, name in _SOURCE.items())))


def letter_rows(messages: DataFrame) -> DataFrame:
    """Columns of BRONZE_QUARANTINE from Kafka's and RECORD; ``redacted_before`` instead of ``redacted``."""
    letter = F.col(RECORD)
    headers = F.transform(letter["headers"], _header)
    return messages.select(
        letter["source_topic"].alias("topic"),
        letter["source_partition"].alias("partition"),
        letter["source_offset"].alias("offset"),
        letter["source_time"].alias("broker_time"),
        letter["key"].alias("key"),
        letter["value"].alias("value"),
        letter["reason"].alias(REASON),
        letter["redacted"].alias("redacted_before"),
        F.current_timestamp().alias("quarantined_at"),
        letter["service"].alias("service"),
        letter["detail"].alias("detail"),
        headers.alias("headers"),
        letter["refused_at"].alias("refused_at"),
        F.col("topic").alias("dead_letter_topic"),
        F.col("partition").alias("dead_letter_partition"),
        F.col("offset").alias("dead_letter_offset"),
        F.col("timestamp").alias("dead_letter_broker_time"),
    )


def _header(header: Column) -> Column:
    return F.struct(header["name"].alias("key"), header["value"].alias("value"))
