"""Metrics of the lakehouse, in addition to those of every service and every query."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from cardwatch_lakehouse.tables import BRONZE_QUARANTINE, Table
from cardwatch_service.metrics import Metrics
from prometheus_client import Counter, Gauge

ROWS_WRITTEN_TOTAL: Final = "cardwatch_lakehouse_rows_written_total"
LABELLED_ALERTS: Final = "cardwatch_lakehouse_labelled_alerts"
PROFILES_PUBLISHED_TOTAL: Final = "cardwatch_lakehouse_profiles_published_total"
NEWEST_PROFILE_SECONDS: Final = "cardwatch_lakehouse_newest_profile_timestamp_seconds"
AUDIT_BROKEN_LINKS: Final = "cardwatch_lakehouse_audit_broken_links"
PROFILE_REFRESH_SECONDS: Final = "cardwatch_lakehouse_profile_refresh_seconds"


class WriteCounter(Protocol):
    """What writers count after each commit."""

    def rows_written(self, table: Table, rows: int) -> None:
        """Count rows that were inserted into a table or changed in it."""

    def messages_quarantined(self, by_reason: Mapping[str, int]) -> None:
        """Count messages that went to quarantine, by reason code."""


class LakehouseMetrics:
    """Rows by table. A micro-batch that a crash repeats is counted again, though its rows are not written again."""

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

    def start_at_zero(self, *tables: Table) -> None:
        """Show the tables with 0 rows: Prometheus's increase() misses the first value of a new series."""
        for table in tables:
            self.rows.labels(table.name)

    def rows_written(self, table: Table, rows: int) -> None:
        """Count rows that were inserted into a table or changed in it."""
        self.rows.labels(table.name).inc(rows)

    def messages_quarantined(self, by_reason: Mapping[str, int]) -> None:
        """Count messages that went to quarantine, by reason code."""
        for reason, count in by_reason.items():
            self._common.refused.labels(reason).inc(count)
        self.rows.labels(BRONZE_QUARANTINE.name).inc(sum(by_reason.values()))

    def registry_outage(self, subject: str) -> Callable[[bool], None]:
        """Sets the gauge of the registry's outages for a subject."""
        return self._common.registry_outage(subject)

    def alerts_labelled(self, by_rule_and_label: Mapping[tuple[str, str], int]) -> None:
        """Set the number of labelled alerts by rule and label."""
        self.labelled_alerts.clear()
        for (rule, label), number in by_rule_and_label.items():
            self.labelled_alerts.labels(rule, label).set(number)


class AuditMetrics:
    """The result of the last check of the audit trail's hash chain."""

    def __init__(self, metrics: Metrics) -> None:
        self._broken: Final = Gauge(
            AUDIT_BROKEN_LINKS,
            "Links of the audit trail that were removed, altered, inserted or repeated, by the last check.",
            registry=metrics.registry,
        )

    def verified(self, broken_links: int) -> None:
        """Note the result of a check that has just ended."""
        self._broken.set(broken_links)


class ProfileMetrics:
    """Metrics of the profiles, in addition to the written rows."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self.published: Final = Counter(
            PROFILES_PUBLISHED_TOTAL, "Profiles acknowledged by the broker.", registry=registry
        )
        self.newest: Final = Gauge(
            NEWEST_PROFILE_SECONDS,
            "Beginning of the newest day that there are profiles for.",
            registry=registry,
        )
        self.seconds: Final = Gauge(
            PROFILE_REFRESH_SECONDS, "What the last refresh of profiles took.", registry=registry
        )
