"""Counts the labelled alerts of each rule, from which a rule's precision is computed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cardwatch_lakehouse.tables import GOLD_ALERTS
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.read import read_table

# Earlier labels say little about the current rules.
_COUNTED_FOR: Final = timedelta(days=30)


@dataclass
class LabelCounter:
    """Counts the alerts in GOLD_ALERTS that were labelled within the last 30 days, whenever that may have changed.

    Attributes:
        set_counts: called with the number of alerts by rule and label.
        now: the clock.
    """

    tables_dir: str
    set_counts: Callable[[Mapping[tuple[str, str], int]], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _first: bool = field(default=True, init=False)

    def update(self, session: SparkSession, *, labels_came: bool) -> None:
        """Count after a micro-batch with labels, and after the first one: another process may have written before it.

        A label that came before its alert is counted with the next label.
        """
        if labels_came or self._first:
            self.set_counts(self._count(session))
        self._first = False

    def _count(self, session: SparkSession) -> Mapping[tuple[str, str], int]:
        alerts = read_table(session, self.tables_dir, GOLD_ALERTS)
        labelled_lately = F.col("label").isNotNull() & (F.col("labelled_at") >= F.lit(self.now() - _COUNTED_FOR))
        found = alerts.where(labelled_lately).groupBy("rule_id", "label").count().collect()
        return {(row["rule_id"], row["label"]): row["count"] for row in found}
