"""``bronze.quarantine``: messages that no reader can decode, of any topic that becomes a table.

What other services have refused gets there from their dead letters: ``dead_letters.py``.
"""

from typing import Final

from cardwatch_lakehouse.tables import BRONZE_QUARANTINE
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.card_numbers import mask_card_numbers
from cardwatch_detector.lakehouse.io.decode import REASON, DecodedBatch
from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, append

LAKEHOUSE: Final = "lakehouse"
"""The service that refuses what is refused here."""


def quarantine(batch: DecodedBatch, tables_dir: str, write_id: WriteId) -> None:
    """Keep the messages of a micro-batch that could not be decoded, of which there is at least one.

    Repeating it changes nothing.

    Args:
        batch: with Kafka's headers.
    """
    # They may be anything, and may hold a card number.
    messages, _ = mask_card_numbers(batch.undecodable)
    now = F.current_timestamp()
    rows = messages.select(
        "topic",
        "partition",
        "offset",
        F.col("timestamp").alias("broker_time"),
        "key",
        "value",
        REASON,
        "redacted",
        now.alias("quarantined_at"),
        F.lit(LAKEHOUSE).alias("service"),
        "headers",
        now.alias("refused_at"),
    )
    append(rows, BRONZE_QUARANTINE, tables_dir, write_id)
