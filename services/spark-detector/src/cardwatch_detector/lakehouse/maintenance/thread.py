"""Runs the tables' maintenance on a schedule, in its own thread while the queries run."""

import threading
import time
from typing import Final

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.locations import takes_one_writer
from cardwatch_service.logs import get_logger
from cardwatch_service.metrics import Metrics
from cardwatch_service.shutdown import Shutdown

from cardwatch_detector.lakehouse.maintenance.maintenance import TableMaintenance
from cardwatch_detector.lakehouse.maintenance.metrics import MaintenanceMetrics
from cardwatch_detector.lakehouse.settings import LakehouseSettings

_log = get_logger(__name__)

# Measuring the files reads the tables' logs.
_MEASURE_EVERY_SECONDS: Final = 300.0
# The first run comes this soon after a start, so that a service that often restarts is maintained too.
_FIRST_AFTER_SECONDS: Final = 600.0
_STOP_SECONDS: Final = 20.0


class MaintenanceThread:
    """Maintains the tables on a schedule until the process is asked to stop."""

    def __init__(self, maintenance: TableMaintenance, shutdown: Shutdown) -> None:
        self._maintenance = maintenance
        self._shutdown = shutdown
        # A rewrite that the end of the process interrupts leaves files that no log names; a vacuum deletes them.
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)

    def start(self) -> None:
        """Start; the tables must exist."""
        self._thread.start()

    def stop(self) -> None:
        """Wait up to 20 seconds for the partition that is being rewritten; the stop must have been requested."""
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        every = self._maintenance.every_seconds
        due = time.monotonic() + min(every, _FIRST_AFTER_SECONDS) if every < float("inf") else every
        while not self._shutdown.requested:
            try:
                if time.monotonic() >= due:
                    self._maintenance.run()
                    due = time.monotonic() + every
                else:
                    self._maintenance.measure()
            except Exception:  # noqa: BLE001 - no error here may stop the queries; maintenance is tried again
                _log.exception("maintenance failed, it is tried again the next time")
                due = time.monotonic() + every
            self._shutdown.wait(max(0.1, min(due - time.monotonic(), _MEASURE_EVERY_SECONDS)))


def maintenance_thread(settings: LakehouseSettings, metrics: Metrics, shutdown: Shutdown) -> MaintenanceThread | None:
    """The thread that the settings ask for; None for tables that only Spark can read, or that only Spark may write."""
    if takes_one_writer(settings.tables_dir):
        _log.warning(
            "the tables are not maintained by this process",
            reason="on S3 Spark has to be the only writer; `cardwatch tables optimize` while it is stopped",
        )
        return None
    try:
        maintenance = TableMaintenance.of(settings, MaintenanceMetrics(metrics), shutdown)
    except ConfigurationError as error:
        _log.warning("the tables are not maintained by this process", reason=str(error))
        return None
    return MaintenanceThread(maintenance, shutdown)
