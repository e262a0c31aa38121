"""``bronze.transactions``: every message as it came, none dropped, card numbers masked."""

from dataclasses import dataclass, field

from cardwatch_card_numbers.exemptions import NO_FIELDS
from cardwatch_lakehouse.tables import BRONZE_TRANSACTIONS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.card_numbers import mask_card_numbers
from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, append, coalesce_to_few_files
from cardwatch_detector.lakehouse.io.read import cached
from cardwatch_detector.lakehouse.metrics import WriteCounter
from cardwatch_detector.runtime.session_settings import BatchSize, temporary_settings

# Kafka's record timestamp types, as Spark's source numbers them.
_TIMESTAMP_TYPE = {0: "CreateTime", 1: "LogAppendTime"}


@dataclass(frozen=True)
class BronzeWriter:
    """Appends micro-batches of the raw and the JSON topic.

    Attributes:
        tables_dir: where the tables are.
        counter: counts the rows after each commit.
        exempt_fields: fields whose numbers are not searched for card numbers.
    """

    tables_dir: str
    counter: WriteCounter
    exempt_fields: frozenset[str] = NO_FIELDS
    _size: BatchSize = field(default_factory=BatchSize, init=False)

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write one micro-batch; writing it again changes nothing."""
        session = batch.sparkSession
        self._size.estimate_first(batch)
        with temporary_settings(session, self._size.settings()), cached(batch) as messages:
            rows, count = mask_card_numbers(messages, self.exempt_fields)
            self._size.rows = count
            with temporary_settings(session, self._size.settings()):
                if count:
                    kept = coalesce_to_few_files(bronze_rows(rows), count)
                    append(kept, BRONZE_TRANSACTIONS, self.tables_dir, WriteId(batch_id))
                    self.counter.rows_written(BRONZE_TRANSACTIONS, count)


def bronze_rows(messages: DataFrame) -> DataFrame:
    """Columns of BRONZE_TRANSACTIONS from Kafka's and ``redacted``."""
    timestamp_type = F.when(F.col("timestampType") == 1, _TIMESTAMP_TYPE[1]).otherwise(_TIMESTAMP_TYPE[0])
    now = F.current_timestamp()
    return messages.select(
        "topic",
        "partition",
        "offset",
        F.col("timestamp").alias("broker_time"),
        timestamp_type.alias("timestamp_type"),
        "key",
        "value",
        "headers",
        "redacted",
        now.alias("ingested_at"),
        F.to_date(now).alias("ingest_date"),
    )
