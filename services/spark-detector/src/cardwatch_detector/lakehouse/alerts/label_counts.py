"""How many alerts of each rule analysts have labelled, and how: what a rule's precision is taken from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cardwatch_lakehouse.tables import GOLD_ALERTS
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.read import read_table

# What was labelled earlier says little of the rules as they are now.
_LATELY: Final = timedelta(days=30)


@dataclass
class LabelCounter:
    """Counts the alerts in GOLD_ALERTS that were labelled within the last 30 days, whenever that may have changed.

    Attributes:
        counted: called with the number of alerts by rule and label.
        now: the clock.
    """

    tables_dir: str
    counted: Callable[[Mapping[tuple[str, str], int]], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _first: bool = field(default=True, init=False)

    def after(self, session: SparkSession, *, labels_came: bool) -> None:
        """Count after a micro-batch with labels, and after the first one, whose predecessors another process wrote.

        A label that came before its alert counts from the next label on.
        """
        if labels_came or self._first:
            self.counted(self._count(session))
        self._first = False

    def _count(self, session: SparkSession) -> Mapping[tuple[str, str], int]:
        alerts = read_table(session, self.tables_dir, GOLD_ALERTS)
        lately = F.col("label").isNotNull() & (F.col("labelled_at") >= F.lit(self.now() - _LATELY))
        found = alerts.where(lately).groupBy("rule_id", "label").count().collect()
        return {(row["rule_id"], row["label"]): row["count"] for row in found}
