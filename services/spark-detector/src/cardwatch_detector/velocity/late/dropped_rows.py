"""What Spark's state operator dropped of the micro-batch under way, and by which watermark."""

from dataclasses import dataclass
from itertools import chain, count
from typing import Any, Final

from pyspark.sql import DataFrame

from cardwatch_detector.runtime.progress import Offsets
from cardwatch_detector.runtime.running_batch import RunningBatch

# Spark's name. Its progress reports have the number too, but only after the micro-batch is committed.
_DROPPED_ROWS: Final = "numRowsDroppedByWatermark"


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows of a micro-batch that its state operator did not take in.

    Attributes:
        rows: their number, one for each group that is gone.
        watermark_us: what it compared the groups' ends with, microseconds.
        start: the offsets where the micro-batch begins; without a partition that had no message before.
        end: the offsets where it ends, not included.
    """

    rows: int
    watermark_us: int
    start: Offsets
    end: Offsets


class DroppedRows:
    """Asks one query, from its first micro-batch on. For each start of the query another one."""

    def __init__(self, running: RunningBatch) -> None:
        self._running: Final = running
        self._number = 0  # of the operator that keeps the state, from the top of the plan

    def of(self, batch: DataFrame) -> Dropped | None:
        """What was dropped of a micro-batch that has run and is not committed yet; None if nothing was."""
        operator, metric = self._state_operator(self._running.context(batch).executionPlan().executedPlan())
        rows = int(metric.value())
        if not rows:
            return None
        watermark_us = int(operator.eventTimeWatermarkForLateEvents().get()) * 1000
        return Dropped(rows, watermark_us, *self._running.stretch(batch))

    def _state_operator(self, plan: Any) -> tuple[Any, Any]:
        """The operator, of which a plan has one, and its metric.

        Each micro-batch has a plan of its own, but of the same shape; and each step in it is a call into the JVM.
        """
        for number in chain([self._number], count()):
            operator = plan.apply(number)
            if operator is None:
                break
            metric = operator.metrics().get(_DROPPED_ROWS)
            if metric.isDefined():
                self._number = number
                return operator, metric.get()
        raise RuntimeError("the query's plan has no operator that keeps the state")
