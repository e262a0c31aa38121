"""Maintenance of the tables: retention, compaction and vacuum, with the files measured in between."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.maintenance import optimize, retention, vacuum
from cardwatch_lakehouse.maintenance.files import measure
from cardwatch_service.logs import get_logger
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.durations import parse_duration
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND
from deltalake.exceptions import DeltaError

from cardwatch_detector.lakehouse.maintenance.metrics import MaintenanceMetrics
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime.settings import OFF

_log = get_logger(__name__)

_VACUUM_EVERY_SECONDS: Final = 24 * 3600.0


@dataclass
class TableMaintenance:
    """Deletes old rows, compacts files and deletes old files, table by table.

    Attributes:
        every_seconds: time between two runs; infinite where there are none and files are only measured.
        keep: how far back versions stay readable.
        ages: how old the rows of a layer may get.
        stopped: whether the process has been asked to stop.
    """

    catalog: Catalog
    every_seconds: float
    keep: timedelta
    ages: retention.Ages
    metrics: MaintenanceMetrics
    stopped: Callable[[], bool]
    _vacuumed_at: float | None = None

    @staticmethod
    def of(settings: LakehouseSettings, metrics: MaintenanceMetrics, shutdown: Shutdown) -> "TableMaintenance":
        """The maintenance that the settings ask for.

        Raises:
            ConfigurationError: the tables are at a place that only Spark can read.
        """
        ages: Mapping[str, str] = {
            "bronze": settings.retention_bronze,
            "silver": settings.retention_silver,
            "gold": settings.retention_gold,
        }
        return TableMaintenance(
            Catalog(settings.tables_dir),
            float("inf")
            if settings.upkeep_every == OFF
            else parse_duration(settings.upkeep_every) / MICROSECONDS_PER_SECOND,
            _span(settings.upkeep_keep),
            {layer: _span(age) for layer, age in ages.items() if age != OFF},
            metrics,
            lambda: shutdown.requested,
        )

    def run(self) -> None:
        """Maintain each table once. A failure is counted and left for the next run."""
        started = time.monotonic()
        vacuum_is_due = self._vacuumed_at is None or started - self._vacuumed_at >= _VACUUM_EVERY_SECONDS
        for name in self.catalog.names():
            if self.stopped():
                return
            try:
                self._maintain(name, vacuum_is_due)
            except (CardwatchError, DeltaError, OSError) as error:
                self.metrics.failures.labels(name).inc()
                _log.warning(
                    "maintenance of a table failed, it is tried again the next time", table=name, reason=str(error)
                )
        if vacuum_is_due:
            self._vacuumed_at = started
        self.measure()
        self.metrics.seconds.set(time.monotonic() - started)
        self.metrics.finished.set_to_current_time()

    def _maintain(self, name: str, vacuum_is_due: bool) -> None:
        age = retention.age_of(name, self.ages)
        deleted = retention.retain(self.catalog, name, age, datetime.now(UTC)) if age is not None else 0
        if deleted:
            _log.info("old rows deleted", table=name, rows=deleted)
        for done in optimize.optimize(self.catalog, name, stopped=self.stopped):
            self.metrics.rewritten.labels(name, str(done.action)).inc()
            _log.info(
                "partition rewritten",
                table=name,
                partition=done.partition,
                action=str(done.action),
                files_before=done.before,
                files=done.after,
            )
        if vacuum_is_due and not self.stopped():
            files = vacuum.vacuum(self.catalog, name, self.keep)
            if files:
                _log.info("old files deleted", table=name, files=len(files))

    def measure(self) -> None:
        """Set the metrics of all tables' files."""
        for name in self.catalog.names():
            self.metrics.failures.labels(name)  # from 0: Prometheus does not see a counter rise that begins with 1
            try:
                found = measure(self.catalog.open(name))
            except (CardwatchError, DeltaError, OSError) as error:
                _log.warning("a table's files could not be counted", table=name, reason=str(error))
                continue
            self.metrics.files.labels(name).set(found.files)
            self.metrics.size.labels(name).set(found.size)
            self.metrics.small.labels(name).set(found.small)
            self.metrics.most.labels(name).set(found.most)


def _span(text: str) -> timedelta:
    return timedelta(microseconds=parse_duration(text))
