"""A store and a clock for tests of the protocol: both do exactly what the test says."""

from collections.abc import Callable
from typing import Any

from cardwatch_lakehouse.leases.lease import Clock, Lease, LeaseTimes
from cardwatch_lakehouse.leases.record import Holder
from cardwatch_lakehouse.leases.store import LeaseConflictError, LeaseStoreError, SystemLock

TIMES = LeaseTimes(ttl_seconds=15, renew_seconds=3, look_seconds=1)


class MemoryFile:
    """An object with a version, shared by the stores of several processes."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.version = 0

    def write(self, content: bytes) -> int:
        self.content = content
        self.version += 1
        return self.version


class MemoryStore:
    """A process's way to the file. ``down``: requests fail; ``loses_answers``: writes happen, and fail all the same."""

    has_system_lock = False
    where = "s3://lake/_leases/velocity.json"

    def __init__(self, file: MemoryFile) -> None:
        self.file = file
        self.down = False
        self.loses_answers = False
        self.closed = 0

    def try_lock(self) -> SystemLock:
        return SystemLock.NOT_AVAILABLE

    def read(self) -> tuple[bytes, int] | None:
        self._ask()
        return None if self.file.content is None else (self.file.content, self.file.version)

    def create(self, content: bytes) -> int:
        self._ask()
        if self.file.content is not None:
            raise LeaseConflictError("exists")
        return self._write(content)

    def replace(self, content: bytes, version: Any) -> int:
        self._ask()
        if self.file.content is None or version != self.file.version:
            raise LeaseConflictError("changed")
        return self._write(content)

    def close(self) -> None:
        self.closed += 1

    def _ask(self) -> None:
        if self.down:
            raise LeaseStoreError("no answer")

    def _write(self, content: bytes) -> int:
        version = self.file.write(content)
        if self.loses_answers:
            raise LeaseStoreError("no answer")
        return version


class World:
    """Processes around one file, under one clock."""

    def __init__(self) -> None:
        self.file = MemoryFile()
        self.now = 1000.0
        self.meanwhile: Callable[[], object] = lambda: None
        self.dead: set[str] = set()

    def sleep(self, seconds: float) -> bool:
        """Let time pass, and then do what the test wants to happen meanwhile."""
        self.now += seconds
        self.meanwhile()
        return False

    def process(self, host: str, times: LeaseTimes = TIMES) -> tuple[Lease, MemoryStore]:
        """A process that has not taken the lease yet, and its way to the store."""
        store = MemoryStore(self.file)
        holder = Holder("detector", host, 7, "1", "", "2026-11-30T18:00:00Z")
        clock = Clock(lambda: self.now, self.sleep)
        return Lease(store, holder, times, clock, has_ended=lambda other: other.host in self.dead), store
