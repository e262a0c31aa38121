"""``bronze.quarantine``: messages that no reader can decode, of any topic that becomes a table.

What other services have refused comes there by their dead letters: ``dead_letters.py``.
"""

from collections.abc import Callable
from typing import Final

from cardwatch_lakehouse.tables import BRONZE_QUARANTINE
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.card_numbers import redacted
from cardwatch_detector.lakehouse.io.decode import REASON, DecodedBatch
from cardwatch_detector.lakehouse.io.write import append

Quarantined = Callable[[dict[str, int]], None]
"""Told, after each commit, the number of messages by reason code."""

LAKEHOUSE: Final = "lakehouse"
"""Who refuses what is refused here."""


def quarantine(batch: DecodedBatch, tables_dir: str, batch_id: int, told: Quarantined, part: str = "") -> None:
    """Keep what a micro-batch has of such messages; again changes nothing.

    Args:
        batch: with Kafka's headers.
        part: tells apart the calls for one micro-batch, as for ``append``.
    """
    if not batch.refused:
        return
    # Whatever it is that got there: it may be JSON, and it may hold a card number.
    messages, _ = redacted(batch.undecodable, F.lit(True))
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
    append(rows, BRONZE_QUARANTINE, tables_dir, batch_id, part)
    told(batch.refused)
