"""Upkeep of the tables on a schedule, in a thread beside the queries."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.maintenance import optimize, retention, vacuum
from cardwatch_lakehouse.maintenance.files import measure
from cardwatch_service.logs import get
from cardwatch_service.metrics import Metrics
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.durations import parse_duration
from deltalake.exceptions import DeltaError
from prometheus_client import Counter, Gauge

from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime.object_stores import takes_one_writer
from cardwatch_detector.runtime.settings import OFF

_log = get(__name__)

LIVE_FILES: Final = "cardwatch_lakehouse_live_files"
LIVE_BYTES: Final = "cardwatch_lakehouse_live_bytes"
SMALL_FILES: Final = "cardwatch_lakehouse_small_files"
PARTITION_FILES_MAX: Final = "cardwatch_lakehouse_partition_files_max"
UPKEEP_TIMESTAMP_SECONDS: Final = "cardwatch_lakehouse_upkeep_timestamp_seconds"
UPKEEP_SECONDS: Final = "cardwatch_lakehouse_upkeep_seconds"
UPKEEP_FAILURES_TOTAL: Final = "cardwatch_lakehouse_upkeep_failures_total"
UPKEEP_PARTITIONS_TOTAL: Final = "cardwatch_lakehouse_upkeep_partitions_total"

_VACUUM_EVERY_SECONDS: Final = 24 * 3600.0
# Figures of the files cost a look at the log.
_MEASURE_EVERY_SECONDS: Final = 300.0
# A service that is started again more often than upkeep is due gets it all the same.
_FIRST_AFTER_SECONDS: Final = 600.0
_STOP_SECONDS: Final = 20.0


class MaintenanceMetrics:
    """The tables' files in numbers, and how upkeep went; by table."""

    def __init__(self, metrics: Metrics) -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...] = ("table",)) -> Gauge:
            return Gauge(name, text, labels, registry=metrics.registry)

        self.files: Final = gauge(LIVE_FILES, "Files of the current version.")
        self.size: Final = gauge(LIVE_BYTES, "Bytes of the files of the current version.")
        self.small: Final = gauge(SMALL_FILES, "Files of the current version below 32 MiB.")
        self.most: Final = gauge(PARTITION_FILES_MAX, "Files of the partition (day) that has the most.")
        self.finished: Final = gauge(UPKEEP_TIMESTAMP_SECONDS, "When upkeep last got through all tables.", ())
        self.seconds: Final = gauge(UPKEEP_SECONDS, "What upkeep last took.", ())
        self.failures: Final = Counter(
            UPKEEP_FAILURES_TOTAL,
            "Tables that upkeep could not see to; it tries again the next time.",
            ["table"],
            registry=metrics.registry,
        )
        self.rewritten: Final = Counter(
            UPKEEP_PARTITIONS_TOTAL,
            "Partitions that upkeep wrote anew.",
            ["table", "action"],
            registry=metrics.registry,
        )


@dataclass
class TableMaintenance:
    """What is done to all tables, again and again.

    Attributes:
        every_seconds: between two times; infinite: never, only the files are measured.
        keep: how far back versions stay readable.
        ages: how old the rows of a layer may get.
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
        """As the settings say.

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
            float("inf") if settings.upkeep_every == OFF else parse_duration(settings.upkeep_every) / 1e6,
            _span(settings.upkeep_keep),
            {layer: _span(age) for layer, age in ages.items() if age != OFF},
            metrics,
            lambda: shutdown.requested,
        )

    def run(self) -> None:
        """See to each table once. What fails is counted and left for the next time."""
        started = time.monotonic()
        vacuum_is_due = self._vacuumed_at is None or started - self._vacuumed_at >= _VACUUM_EVERY_SECONDS
        for name in self.catalog.names():
            if self.stopped():
                return
            try:
                self._see_to(name, vacuum_is_due)
            except (CardwatchError, DeltaError, OSError) as error:
                self.metrics.failures.labels(name).inc()
                _log.warning("upkeep of a table failed, it is tried again the next time", table=name, reason=str(error))
        if vacuum_is_due:
            self._vacuumed_at = started
        self.measure()
        self.metrics.seconds.set(time.monotonic() - started)
        self.metrics.finished.set_to_current_time()

    def _see_to(self, name: str, vacuum_is_due: bool) -> None:
        age = retention.age_of(name, self.ages)
        deleted = retention.retain(self.catalog, name, age, datetime.now(UTC)) if age is not None else 0
        if deleted:
            _log.info("rows deleted that were too old", table=name, rows=deleted)
        for done in optimize.optimize(self.catalog, name, stopped=self.stopped):
            self.metrics.rewritten.labels(name, str(done.action)).inc()
            _log.info(
                "partition written anew",
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
        """Tell the figures of all tables' files."""
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


class MaintenanceThread:
    """Runs upkeep until the process is asked to stop."""

    def __init__(self, upkeep: TableMaintenance, shutdown: Shutdown) -> None:
        self._upkeep = upkeep
        self._shutdown = shutdown
        # What is interrupted when the process ends are files that no log names: a vacuum deletes them.
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin; the tables are there."""
        self._thread.start()

    def stop(self) -> None:
        """Wait a while for what is being done to one partition; the stop was asked for."""
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        every = self._upkeep.every_seconds
        due = time.monotonic() + min(every, _FIRST_AFTER_SECONDS) if every < float("inf") else every
        while not self._shutdown.requested:
            try:
                if time.monotonic() >= due:
                    self._upkeep.run()
                    due = time.monotonic() + every
                else:
                    self._upkeep.measure()
            except Exception:  # noqa: BLE001 - whatever it is, the queries go on and upkeep comes again
                _log.exception("upkeep failed, it is tried again the next time")
                due = time.monotonic() + every
            self._shutdown.wait(max(0.1, min(due - time.monotonic(), _MEASURE_EVERY_SECONDS)))


def maintenance_thread(settings: LakehouseSettings, metrics: Metrics, shutdown: Shutdown) -> MaintenanceThread | None:
    """The thread as the settings say; None for tables at a place that only Spark can read, or should write."""
    if takes_one_writer(settings.tables_dir):
        _log.warning(
            "the tables get no upkeep from here",
            reason="on S3 Spark has to be the only writer; `cardwatch tables optimize` while it is stopped",
        )
        return None
    try:
        upkeep = TableMaintenance.of(settings, MaintenanceMetrics(metrics), shutdown)
    except ConfigurationError as error:
        _log.warning("the tables get no upkeep from here", reason=str(error))
        return None
    return MaintenanceThread(upkeep, shutdown)


def _span(text: str) -> timedelta:
    return timedelta(microseconds=parse_duration(text))
