"""``silver.transactions``: one row a transaction, from the silver topic."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.decode import RECORD, Schemas, decoded
from cardwatch_detector.lakehouse.quarantine import Quarantined, quarantine
from cardwatch_detector.lakehouse.tables import SILVER_TRANSACTIONS
from cardwatch_detector.lakehouse.write import affected

_ID: Final = "transaction_id"


@dataclass(frozen=True)
class SilverWriter:
    """Inserts the transactions of micro-batches that the table does not have yet.

    Attributes:
        tables_dir: where the tables are.
        schemas: those of the silver topic.
        written: called with the number of rows after each commit.
        quarantined: called with the number of undecodable messages by reason after each commit.
    """

    tables_dir: str
    schemas: Schemas
    written: Callable[[int], None]
    quarantined: Quarantined

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write one micro-batch; writing it again changes nothing."""
        with decoded(batch, self.schemas) as messages:
            quarantine(messages, self.tables_dir, batch_id, self.quarantined)
            if messages.good:
                self.written(self._insert(first_of_each(silver_rows(messages.records))))

    def _insert(self, rows: DataFrame) -> int:
        table = DeltaTable.forPath(rows.sparkSession, SILVER_TRANSACTIONS.path(self.tables_dir))
        # On the identity alone: a condition on event_date would look into fewer files, but a second message that
        # gives the same transaction another day would become a second row.
        merged = (
            table.alias("known")
            .merge(rows.alias("new"), f"known.{_ID} = new.{_ID}")
            .whenNotMatchedInsertAll()
            .execute()
        )
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
