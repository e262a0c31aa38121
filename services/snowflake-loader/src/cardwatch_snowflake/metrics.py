"""The loader's own metrics, in addition to those of every service. Labels are bounded by the loaded tables."""

from typing import Final

from cardwatch_service.metrics import Metrics
from prometheus_client import Counter, Gauge

ROWS_TOTAL: Final = "cardwatch_loader_rows_total"
VERSION_LAG: Final = "cardwatch_loader_version_lag"
LAST_LOAD_SECONDS: Final = "cardwatch_loader_last_load_seconds"
LAST_SUCCESS_SECONDS: Final = "cardwatch_loader_last_success_timestamp_seconds"
FAILURES_TOTAL: Final = "cardwatch_loader_failures_total"


class LoaderMetrics:
    """What the loader counts."""

    def __init__(self, shared: Metrics) -> None:
        self.shared: Final = shared
        registry = shared.registry
        self._rows: Final = Counter(
            ROWS_TOTAL, "Rows sent to Snowflake, upserted or deleted.", ["table", "operation"], registry=registry
        )
        self._lag: Final = Gauge(
            VERSION_LAG, "Delta versions that are not in Snowflake yet.", ["table"], registry=registry
        )
        self._took: Final = Gauge(LAST_LOAD_SECONDS, "Seconds that the last load took.", ["table"], registry=registry)
        self._success: Final = Gauge(
            LAST_SUCCESS_SECONDS,
            "When the table was last found or made up to date, seconds since 1970.",
            ["table"],
            registry=registry,
        )
        self._failures: Final = Counter(
            FAILURES_TOTAL, "Attempts to load a table that failed.", ["table", "kind"], registry=registry
        )

    def rows(self, table: str, *, upserted: int, deleted: int) -> None:
        """Count rows of a load that is committed."""
        self._rows.labels(table, "upserted").inc(upserted)
        self._rows.labels(table, "deleted").inc(deleted)

    def lag(self, table: str, versions: int) -> None:
        """So many versions are not loaded yet."""
        self._lag.labels(table).set(versions)
        if versions == 0:
            self._success.labels(table).set_to_current_time()

    def load_took(self, table: str, seconds: float) -> None:
        """How long a load took, from reading Delta to Snowflake's commit."""
        self._took.labels(table).set(seconds)

    def failed(self, table: str, kind: str) -> None:
        """Count a failed attempt: source, transient (Snowflake, tried again) or lasting (Snowflake)."""
        self._failures.labels(table, kind).inc()
