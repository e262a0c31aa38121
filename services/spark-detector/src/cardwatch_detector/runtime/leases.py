"""The leases of a Spark service: taken before Spark starts, renewed while queries run, checked around each write."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_lakehouse.leases.keeper import hold
from cardwatch_lakehouse.leases.lease import Lease
from cardwatch_lakehouse.leases.opening import open_lease, why_no_lease
from cardwatch_lakehouse.leases.record import LeaseRecord
from cardwatch_service.logs import get_logger
from cardwatch_service.shutdown import Shutdown
from pyspark.sql import DataFrame

from cardwatch_detector.runtime.databricks import on_databricks
from cardwatch_detector.runtime.failures import BatchWriter

_log = get_logger(__name__)

_LOST_EXIT_CODE: Final = 1

Check = Callable[[], None]
"""Returns if this process may write; raises a CardwatchError if it may not."""


Held = Callable[[], float]
"""For how many seconds this process may go on without asking again; raises a CardwatchError if it may not."""

_UNLIMITED_SECONDS: Final = 3600.0


def no_check() -> None:
    """For what no second process can write."""


def always_held() -> float:
    """The same for a ``Held``."""
    return _UNLIMITED_SECONDS


def end_process(error: CardwatchError) -> None:
    """End this process at once, as a kill would: what it is in the middle of must not be finished.

    Every write is made for a kill between any two steps. Java ends too, as its standard input is closed.
    """
    _log.error("the process ends", reason=str(error))
    os._exit(_LOST_EXIT_CODE)


class ProcessLeases:
    """All leases that a service needs; without one a place is worked on by one process only if others see to it."""

    def __init__(self, leases: Sequence[Lease], shutdown: Shutdown) -> None:
        self._leases: Final = leases
        self._shutdown: Final = shutdown
        self.waits_for = ""

    @staticmethod
    def of(
        places: Mapping[str, str], what: str, shutdown: Shutdown, environment: Mapping[str, str] = os.environ
    ) -> "ProcessLeases":
        """The leases of work in some directories.

        Args:
            places: name of the work → directory.
            what: what this process is, for those who find it as the holder.

        Raises:
            ConfigurationError: a directory's address is wrong.
        """
        leases = []
        for name, directory in places.items():
            reason = "a job's maximum of runs sees to it" if on_databricks(environment) else why_no_lease(directory)
            if reason:
                _log.warning("nothing here keeps a second process away", directory=directory, reason=reason)
            else:
                leases.append(open_lease(directory, name, what, sleep=shutdown.wait))
        return ProcessLeases(leases, shutdown)

    @contextmanager
    def held(self, on_lost: Callable[[CardwatchError], None] = end_process) -> Iterator[None]:
        """Take the leases, and keep them until the block ends.

        Raises:
            CardwatchError: another process has one of them, or a place does not answer.
        """
        with hold(self._leases, waiting=self._waiting, on_failure=_report, on_lost=on_lost):
            self.waits_for = ""
            yield

    def check(self) -> None:
        """Return if all leases are still held.

        Raises:
            CardwatchError: one is not; nothing may be written.
        """
        for lease in self._leases:
            lease.check()

    def held_seconds(self) -> float:
        """For how long all leases are held without being renewed.

        Raises:
            CardwatchError: as ``check``.
        """
        self.check()
        return min((lease.seconds_left for lease in self._leases), default=_UNLIMITED_SECONDS)

    def _waiting(self, record: LeaseRecord, seconds: float) -> None:
        self.waits_for = f"waiting {seconds:.0f} s for the lease of {record.holder}, which shows no sign of life"
        _log.info(
            "waiting for the lease of a process that shows no sign of life",
            holder=str(record.holder),
            seconds_left=round(seconds),
        )


def only_while_held(check: Check, write: BatchWriter) -> BatchWriter:
    """The same writer, which neither begins nor lets Spark commit a micro-batch after the lease was lost."""

    def write_while_held(batch: DataFrame, batch_id: int) -> None:
        check()
        write(batch, batch_id)
        check()

    return write_while_held


def _report(error: Exception) -> None:
    _log.warning("a lease could not be renewed, it is tried again", reason=str(error))
