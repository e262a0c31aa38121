"""``silver.transactions``: one row a transaction, from the silver topic."""

from typing import Any, Final

from cardwatch_lakehouse.tables import SILVER_TRANSACTIONS, Table
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.decode import RECORD
from cardwatch_detector.lakehouse.merge import MergeWriter
from cardwatch_detector.lakehouse.write import affected

_ID: Final = "transaction_id"


class SilverWriter(MergeWriter):
    """Inserts the transactions that the table does not have yet."""

    @property
    def table(self) -> Table:
        return SILVER_TRANSACTIONS

    def rows(self, messages: DataFrame) -> DataFrame:
        return first_of_each(silver_rows(messages))

    def merge(self, known: Any, new: DataFrame) -> int:
        # On the identity alone: a condition on event_date would look into fewer files, but a second message that
        # gives the same transaction another day would become a second row.
        merged = known.merge(new, f"known.{_ID} = new.{_ID}").whenNotMatchedInsertAll().execute()
        return affected(merged, "num_inserted_rows")


def silver_rows(messages: DataFrame) -> DataFrame:
    """Columns of SILVER_TRANSACTIONS from Kafka's and RECORD."""
    return messages.select(
        f"{RECORD}.*",
        F.col("partition").alias("silver_partition"),
        F.col("offset").alias("silver_offset"),
        F.col("timestamp").alias("silver_broker_time"),
        F.to_date(F.col(RECORD)["event_time"]).alias("event_date"),
    )


def first_of_each(rows: DataFrame) -> DataFrame:
    """Of several rows with one transaction id, that of the message at the lowest partition and offset."""
    order = F.struct("silver_partition", "silver_offset")
    return rows.groupBy(_ID).agg(F.min_by(F.struct(*rows.columns), order).alias("row")).select("row.*")
