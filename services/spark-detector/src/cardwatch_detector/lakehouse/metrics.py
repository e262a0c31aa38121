"""What the lakehouse counts beside what every service and every query does."""

from collections.abc import Callable, Mapping
from typing import Final

from cardwatch_lakehouse.tables import BRONZE_QUARANTINE, Table
from cardwatch_service.metrics import Metrics
from prometheus_client import Counter, Gauge

ROWS_WRITTEN_TOTAL: Final = "cardwatch_lakehouse_rows_written_total"
LABELLED_ALERTS: Final = "cardwatch_lakehouse_labelled_alerts"


class LakehouseMetrics:
    """Rows by table. A micro-batch that a crash repeats counts again, though its rows are not written again."""

    def __init__(self, metrics: Metrics) -> None:
        self._common = metrics
        self.rows: Final = Counter(
            ROWS_WRITTEN_TOTAL, "Rows inserted or changed, by table.", ["table"], registry=metrics.registry
        )
        self.labelled_alerts: Final = Gauge(
            LABELLED_ALERTS,
            "Alerts that analysts labelled within the last 30 days, by rule and by the label that holds.",
            ["rule", "label"],
            registry=metrics.registry,
        )

    def written(self, table: Table) -> Callable[[int], None]:
        """Counts the rows of one table."""
        return self.rows.labels(table.name).inc

    def labelled(self, alerts: Mapping[tuple[str, str], int]) -> None:
        """So many alerts of each rule have each label."""
        self.labelled_alerts.clear()
        for (rule, label), number in alerts.items():
            self.labelled_alerts.labels(rule, label).set(number)

    def quarantined(self, by_reason: dict[str, int]) -> None:
        """Count messages that went to quarantine."""
        for reason, count in by_reason.items():
            self._common.refused.labels(reason).inc(count)
        self.rows.labels(BRONZE_QUARANTINE.name).inc(sum(by_reason.values()))
