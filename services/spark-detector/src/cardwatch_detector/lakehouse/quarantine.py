"""``bronze.quarantine``: messages of the silver, the late and the alerts topic that no reader can decode."""

from collections.abc import Callable

from cardwatch_lakehouse.tables import BRONZE_QUARANTINE
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.decode import REASON, Decoded
from cardwatch_detector.lakehouse.redact import HEADERS_TYPE, redacted
from cardwatch_detector.lakehouse.write import append

Quarantined = Callable[[dict[str, int]], None]
"""Told, after each commit, the number of messages by reason code."""


def quarantine(batch: Decoded, tables_dir: str, batch_id: int, told: Quarantined) -> None:
    """Keep what a micro-batch has of such messages; again changes nothing."""
    if not batch.refused:
        return
    # Whatever it is that got there: it may be JSON, and it may hold a card number.
    messages, _ = redacted(batch.undecodable.withColumn("headers", F.lit(None).cast(HEADERS_TYPE)), F.lit(True))
    rows = messages.select(
        "topic",
        "partition",
        "offset",
        F.col("timestamp").alias("broker_time"),
        "key",
        "value",
        REASON,
        "redacted",
        F.current_timestamp().alias("quarantined_at"),
    )
    append(rows, BRONZE_QUARANTINE, tables_dir, batch_id)
    told(batch.refused)
