"""Takes leases, renews them in a thread while work is done, and gives them back."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from cardwatch_contracts.errors import CardwatchError

from cardwatch_lakehouse.leases.lease import Lease
from cardwatch_lakehouse.leases.record import LeaseRecord
from cardwatch_lakehouse.leases.store import LeaseLostError, LeaseStoreError


def ignore_wait(record: LeaseRecord, seconds: float) -> None:
    """Wait without a word."""


def ignore_failure(error: Exception) -> None:
    """Leave it to the next ``check``."""


@contextmanager
def hold(
    leases: Sequence[Lease],
    *,
    waiting: Callable[[LeaseRecord, float], None] = ignore_wait,
    on_failure: Callable[[Exception], None] = ignore_failure,
    on_lost: Callable[[CardwatchError], None] = ignore_failure,
) -> Iterator[None]:
    """Take leases, one after the other, and renew them until the block ends; then give them back.

    Args:
        waiting: as for ``Lease.acquire``.
        on_failure: called in the thread that renews when a lease could not be renewed; that is tried again.
        on_lost: called in the thread that renews when a lease is lost for good.

    Raises:
        CardwatchError: a lease cannot be taken; none of them is held then.
    """
    taken: list[Lease] = []
    stop = threading.Event()
    threads: list[threading.Thread] = []
    try:
        for lease in leases:
            lease.acquire(waiting)
            taken.append(lease)
            # A thread for each: one store that does not answer must not hold up the renewal on another one.
            thread = threading.Thread(target=_renew, args=(lease, stop, on_failure, on_lost), name="lease", daemon=True)
            thread.start()
            threads.append(thread)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for lease in reversed(taken):
            with suppress(LeaseStoreError):  # it ends by itself
                lease.release()


def _renew(
    lease: Lease,
    stop: threading.Event,
    on_failure: Callable[[Exception], None],
    on_lost: Callable[[CardwatchError], None],
) -> None:
    while not stop.wait(lease.renew_seconds):
        try:
            lease.renew()
        except LeaseLostError as error:
            on_lost(error)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is: a thread that ended would lose the lease for certain
            on_failure(error)
