"""Verifies the hash chain of ``bronze.rule_changes`` on a schedule, in its own thread, without Spark."""

import threading
from collections.abc import Callable, Iterable
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_lakehouse.audit.chain import Link
from cardwatch_lakehouse.audit.table import read_links
from cardwatch_lakehouse.audit.verification import verify_links
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_service.logs import get_logger
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.durations import parse_duration
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

from cardwatch_detector.lakehouse.metrics import AuditMetrics
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime.settings import OFF

_log = get_logger(__name__)

_MAX_LOGGED_FINDINGS: Final = 20


class AuditCheck:
    """Verifies the chain as ``cardwatch audit verify --no-topics`` does, until the process is asked to stop.

    It shows what was done to the table by mistake or by somebody who does not control this process. Saved heads and
    the comparison with the topics need ``cardwatch audit verify``.
    """

    def __init__(
        self, links: Callable[[], Iterable[Link]], metrics: AuditMetrics, every_seconds: float, shutdown: Shutdown
    ) -> None:
        """
        Args:
            links: reads all links of the table.
            every_seconds: time from one check to the next.
        """
        self._links: Final = links
        self._metrics: Final = metrics
        self._every_seconds: Final = every_seconds
        self._shutdown: Final = shutdown
        self._thread: Final = threading.Thread(target=self._run, name="audit-check", daemon=True)

    def start(self) -> None:
        """Start; the table must exist. The thread only reads, so that a stop need not wait for it."""
        self._thread.start()

    def check(self) -> None:
        """Verify the chain once. A table that cannot be read leaves the metrics as they are until the next check."""
        try:
            findings = verify_links(self._links()).findings
        except Exception as error:  # noqa: BLE001 - no error here may stop the queries
            why = str(error) if isinstance(error, CardwatchError) else type(error).__name__
            _log.warning("the audit trail could not be verified, it is tried again the next time", why=why)
            return
        for finding in findings[:_MAX_LOGGED_FINDINGS]:
            _log.error("the audit trail is broken", finding=str(finding))
        self._metrics.verified(len(findings))

    def _run(self) -> None:
        while not self._shutdown.requested:
            self.check()
            self._shutdown.wait(self._every_seconds)


def audit_check(settings: LakehouseSettings, metrics: AuditMetrics, shutdown: Shutdown) -> AuditCheck | None:
    """The check that the settings ask for; None if it is off."""
    if settings.audit_check_every == OFF:
        return None
    every_seconds = parse_duration(settings.audit_check_every) / MICROSECONDS_PER_SECOND
    # A catalogue knows not all file systems that Spark knows: where it does not, that is logged, and the queries run.
    return AuditCheck(lambda: read_links(Catalog(settings.tables_dir)), metrics, every_seconds, shutdown)
