"""What the lakehouse counts beside what every service and every query does."""

from collections.abc import Callable
from typing import Final

from cardwatch_lakehouse.tables import BRONZE_QUARANTINE, Table
from cardwatch_service.metrics import Metrics
from prometheus_client import Counter

ROWS_WRITTEN_TOTAL: Final = "cardwatch_lakehouse_rows_written_total"


class LakehouseMetrics:
    """Rows by table. A micro-batch that a crash repeats counts again, though its rows are not written again."""

    def __init__(self, metrics: Metrics) -> None:
        self._common = metrics
        self.rows: Final = Counter(
            ROWS_WRITTEN_TOTAL, "Rows inserted or changed, by table.", ["table"], registry=metrics.registry
        )

    def written(self, table: Table) -> Callable[[int], None]:
        """Counts the rows of one table."""
        return self.rows.labels(table.name).inc

    def quarantined(self, by_reason: dict[str, int]) -> None:
        """Count messages that went to quarantine."""
        for reason, count in by_reason.items():
            self._common.refused.labels(reason).inc(count)
        self.rows.labels(BRONZE_QUARANTINE.name).inc(sum(by_reason.values()))
