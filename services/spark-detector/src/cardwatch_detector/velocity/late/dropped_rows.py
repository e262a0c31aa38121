"""The rows of the running micro-batch that the state operator dropped as late, and by which watermark."""

from dataclasses import dataclass

from pyspark.sql import DataFrame

from cardwatch_detector.runtime.internals import RunningBatch
from cardwatch_detector.runtime.spark_offsets import OffsetRange


@dataclass(frozen=True, slots=True)
class DroppedRows:
    """Rows of a micro-batch that its state operator did not take in.

    Attributes:
        rows: their number: a transaction has one for each of its groups that is gone.
        watermark_us: the watermark that the groups' ends were compared with, microseconds.
        offsets: those of the micro-batch; its start lacks a partition that had no message before.
    """

    rows: int
    watermark_us: int
    offsets: OffsetRange


def dropped_rows(running: RunningBatch, batch: DataFrame) -> DroppedRows | None:
    """What was dropped of a micro-batch that has run and is not committed yet; None if nothing was."""
    dropped = running.dropped_rows(batch)
    return None if dropped is None else DroppedRows(*dropped, running.offset_range(batch))
