"""The protocol of a lease: taken at the start, renewed, taken over when its holder is silent, and fenced.

    holder    take (epoch 7) ──renew──renew──renew──✗ (killed, or cut off from the store)
    other                      read ─────────────────── no change for ttl ──▶ take over (epoch 8)
    holder                                                                     renew: refused ──▶ lost permanently

No clock is compared with another machine's. The holder counts from *before* the request of its last renewal, and stops
acting after 0.8 of the time to live. Others count from *after* their first look at what that request wrote, and wait
for all of it. So the holder has stopped before another one begins, unless one clock runs a quarter faster than the
other.

Every write is conditional on what was read, so of two that take over only one succeeds. The epoch rises each time.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from cardwatch_lakehouse.leases.record import Holder, LeaseRecord, is_dead
from cardwatch_lakehouse.leases.store import (
    LeaseConflictError,
    LeaseHeldError,
    LeaseLostError,
    LeaseStore,
    SystemLock,
)

_HOLDER_SHARE_OF_TTL: Final = 0.8


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long a lease lives without renewal, and how often its holder renews it and others look at it; seconds."""

    ttl_seconds: float = 15.0
    renew_seconds: float = 3.0
    look_seconds: float = 1.0


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, which tests pass in.

    Attributes:
        now: monotonic seconds.
        sleep: waits for some seconds; returns whether to give up waiting.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], bool] = _sleep


class Lease:
    """The exclusive right to a directory, from ``acquire`` to ``release``. Safe for use by several threads."""

    def __init__(
        self,
        store: LeaseStore,
        holder: Holder,
        times: LeaseTimes | None = None,
        clock: Clock | None = None,
        *,
        has_ended: Callable[[Holder], bool] = is_dead,
    ) -> None:
        """
        Args:
            holder: this process.
            has_ended: whether another holder has ended for certain, so that nobody has to wait.
        """
        self._store: Final = store
        self._holder: Final = holder
        self._times: Final = times or LeaseTimes()
        self._clock: Final = clock or Clock()
        self._has_ended: Final = has_ended
        self._lock: Final = threading.RLock()
        self._record: LeaseRecord | None = None
        self._version: Any = None
        self._valid_until = 0.0
        self._lost = ""

    @property
    def epoch(self) -> int:
        """The fencing token of this holder; 0 before the lease was taken."""
        return self._record.epoch if self._record is not None else 0

    @property
    def seconds_left(self) -> float:
        """For how long this process may act without ``check``; not positive where it may not."""
        held = not self._lost and self._record is not None
        return self._valid_until - self._clock.now() if held else 0.0

    @property
    def renew_seconds(self) -> float:
        """Time between renewals."""
        return self._times.renew_seconds

    def acquire(self, waiting: Callable[[LeaseRecord, float], None] = lambda record, seconds: None) -> None:
        """Take the lease; waits for at most the time to live of a holder that shows no sign of life.

        Args:
            waiting: called again and again while it waits, with the silent holder's record and the seconds left.

        Raises:
            LeaseHeldError: another process has it; the sentence names it.
            LeaseStoreError: the place cannot be read or written.
            ConfigurationError: the file is there and is no lease.
        """
        lock = self._store.try_lock()
        try:
            found = self._read()
            if lock is not SystemLock.TAKEN:
                # With the system's lock nobody waits: whoever had the lease before has ended.
                if found is not None and lock is SystemLock.NOT_AVAILABLE:
                    found = self._await_end(*found, waiting)
                self._take(found)
        except BaseException:
            self._store.close()
            raise
        if lock is SystemLock.TAKEN:
            raise LeaseHeldError(_held(self._store.where, found and found[0]))

    def _await_end(
        self, record: LeaseRecord, version: Any, waiting: Callable[[LeaseRecord, float], None]
    ) -> tuple[LeaseRecord, Any] | None:
        """Wait until the record's holder has given the lease back or has been silent for its time to live."""
        silent_since = self._clock.now()
        while not (record.released or self._has_ended(record.holder)):
            left = record.ttl_seconds - (self._clock.now() - silent_since)
            if left <= 0:
                break
            waiting(record, left)
            if self._clock.sleep(min(left, self._times.look_seconds)):
                raise LeaseHeldError(_held(self._store.where, record))
            again = self._read()
            if again is None:
                return None
            if again[0] != record and not again[0].released:
                raise LeaseHeldError(_held(self._store.where, again[0]))
            record, version = again
        return record, version

    def _take(self, found: tuple[LeaseRecord, Any] | None) -> None:
        epoch = 1 if found is None else found[0].epoch + 1
        record = LeaseRecord(epoch, self._holder, self._times.ttl_seconds)
        with self._lock:
            asked_at = self._clock.now()
            try:
                if found is None:
                    version = self._store.create(record.encode())
                else:
                    version = self._store.replace(record.encode(), found[1])
            except LeaseConflictError:
                # The client repeats a request whose answer it did not get: then this process's own record is there.
                now = self._read()
                if now is None or now[0].token != record.token:
                    raise LeaseHeldError(_held(self._store.where, now and now[0])) from None
                version = now[1]
            self._hold(record, version, asked_at)

    def renew(self) -> None:
        """Renew the lease.

        Raises:
            LeaseLostError: another process has taken it, or somebody has deleted its file; permanently.
            LeaseStoreError: the place does not answer; the lease stays valid for the rest of its time.
        """
        with self._lock:
            if self._lost:
                raise LeaseLostError(self._lost)
            if self._record is None:
                raise LeaseLostError(f"the lease {self._store.where} was not taken, or was given back")
            try:
                self._write_renewal(self._record)
            except LeaseConflictError:
                now = self._read()
                if now is None or now[0].token != self._record.token:
                    self._lost = _lost(self._store.where, now and now[0])
                    raise LeaseLostError(self._lost) from None
                # An earlier renewal whose answer got lost. It does not count from now on: others may have seen it then.
                self._version = now[1]
                self._write_renewal(now[0])

    def _write_renewal(self, record: LeaseRecord) -> None:
        # Where the operating system keeps the lock there is nothing to renew, but the file can have been deleted.
        renewed = record if self._store.has_system_lock else record.next()
        asked_at = self._clock.now()
        self._hold(renewed, self._store.replace(renewed.encode(), self._version), asked_at)

    def check(self) -> None:
        """Raise unless this process still holds the lease; to be called before each write that only its holder may do.

        Raises:
            LeaseLostError, LeaseStoreError: as ``renew``, which it does if the last renewal is too long ago.
        """
        # Without the lock: a renewal by another thread, which may wait for the store, must not hold up each write.
        if not self._lost and self._record is not None and self._clock.now() < self._valid_until:
            return
        with self._lock:
            if self._lost or self._record is None or self._clock.now() >= self._valid_until:
                self.renew()

    def release(self) -> None:
        """Give the lease back, so that the next process need not wait. Nothing happens if it was lost.

        Raises:
            LeaseStoreError: the place does not answer; the lease then ends by itself.
        """
        with self._lock:
            record, self._record = self._record, None
            try:
                if record is not None and not self._lost:
                    self._store.replace(replace(record.next(), released=True).encode(), self._version)
            except LeaseConflictError:
                pass  # it has a new holder
            finally:
                self._store.close()

    def _hold(self, record: LeaseRecord, version: Any, asked_at: float) -> None:
        self._record, self._version = record, version
        self._valid_until = asked_at + _HOLDER_SHARE_OF_TTL * record.ttl_seconds

    def _read(self) -> tuple[LeaseRecord, Any] | None:
        found = self._store.read()
        return None if found is None else (LeaseRecord.decode(found[0], self._store.where), found[1])


def _held(where: str, record: LeaseRecord | None) -> str:
    if record is None:
        return f"another process is taking the lease {where} at this moment; start again once it has stopped"
    return (
        f"{record.holder} holds the lease {where}: two processes must not work there at the same time. "
        "Stop that one first, or give this one a directory of its own"
    )


def _lost(where: str, record: LeaseRecord | None) -> str:
    if record is None:
        return (
            f"the lease {where} has been deleted while this process worked there; it stops, so that nothing is damaged"
        )
    return (
        f"this process has lost the lease {where} to {record.holder} (epoch {record.epoch}), because it could not "
        "renew it in time; it stops, so that nothing is damaged"
    )
