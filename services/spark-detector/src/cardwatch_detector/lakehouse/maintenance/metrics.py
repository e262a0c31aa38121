"""Metrics of the tables' files and of their maintenance."""

from typing import Final

from cardwatch_service.metrics import Metrics
from prometheus_client import Counter, Gauge

LIVE_FILES: Final = "cardwatch_lakehouse_live_files"
LIVE_BYTES: Final = "cardwatch_lakehouse_live_bytes"
SMALL_FILES: Final = "cardwatch_lakehouse_small_files"
PARTITION_FILES_MAX: Final = "cardwatch_lakehouse_partition_files_max"
UPKEEP_TIMESTAMP_SECONDS: Final = "cardwatch_lakehouse_upkeep_timestamp_seconds"
UPKEEP_SECONDS: Final = "cardwatch_lakehouse_upkeep_seconds"
UPKEEP_FAILURES_TOTAL: Final = "cardwatch_lakehouse_upkeep_failures_total"
UPKEEP_PARTITIONS_TOTAL: Final = "cardwatch_lakehouse_upkeep_partitions_total"


class MaintenanceMetrics:
    """Metrics of the tables' files and of their maintenance, by table."""

    def __init__(self, metrics: Metrics) -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...] = ("table",)) -> Gauge:
            return Gauge(name, text, labels, registry=metrics.registry)

        self.files: Final = gauge(LIVE_FILES, "Files of the current version.")
        self.size: Final = gauge(LIVE_BYTES, "Bytes of the files of the current version.")
        self.small: Final = gauge(SMALL_FILES, "Files of the current version below 32 MiB.")
        self.most: Final = gauge(PARTITION_FILES_MAX, "Files of the partition (day) that has the most.")
        self.finished: Final = gauge(UPKEEP_TIMESTAMP_SECONDS, "When maintenance of all tables last ended.", ())
        self.seconds: Final = gauge(UPKEEP_SECONDS, "Duration of the last maintenance of all tables.", ())
        self.failures: Final = Counter(
            UPKEEP_FAILURES_TOTAL,
            "Times that maintenance of a table failed; it is tried again the next time.",
            ["table"],
            registry=metrics.registry,
        )
        self.rewritten: Final = Counter(
            UPKEEP_PARTITIONS_TOTAL,
            "Partitions that maintenance rewrote.",
            ["table", "action"],
            registry=metrics.registry,
        )
