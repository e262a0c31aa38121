"""A lease on a disk of this machine, or a network disk: the operating system's lock decides, the file says who has it.

The lock (``flock``) ends with its process however that ends, so nobody ever waits. A process that is stopped
(SIGSTOP) or swapped out keeps it, so nobody takes over from one that could wake up.
"""

import os
from pathlib import Path
from typing import Final

from cardwatch_contracts.errors import ConfigurationError
from filelock import FileLock, Timeout

from cardwatch_lakehouse.leases.store import LeaseConflictError, LeaseStoreError, SystemLock

_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700


class LocalLeaseStore:
    """A lease's file on a disk; its version is its content."""

    has_system_lock: Final = True

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._lock_path: Final = path.with_suffix(".lock")
        self._lock: Final = FileLock(self._lock_path, mode=_FILE_MODE, fallback_to_soft=False, thread_local=False)
        self._locked: os.stat_result | None = None

    @property
    def where(self) -> str:
        return str(self._path)

    def try_lock(self) -> SystemLock:
        try:
            self._path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._locked = self._lock_path.stat()
        except Timeout:
            return SystemLock.TAKEN
        except OSError as error:
            raise ConfigurationError(
                f"{self._lock_path} cannot be locked ({error.strerror or error}); it has to be on a disk that this "
                "process may write and that supports flock, as local disks and NFS do"
            ) from error
        return SystemLock.ACQUIRED

    def read(self) -> tuple[bytes, bytes] | None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LeaseStoreError(f"{self._path} cannot be read: {error.strerror}") from error
        return content, content

    def create(self, content: bytes) -> bytes:
        self._check_version(None)
        return self._write(content)

    def replace(self, content: bytes, version: bytes) -> bytes:
        self._check_version(version)
        return version if content == version else self._write(content)

    def close(self) -> None:
        self._lock.release()

    def _check_version(self, version: bytes | None) -> None:
        """Writes are safe because only who has the lock writes; but directories can be deleted or moved."""
        found = self.read()
        if (found and found[1]) != version or not self._lock_is_at_its_path():
            raise LeaseConflictError(f"{self._path} has changed")

    def _lock_is_at_its_path(self) -> bool:
        try:
            return self._locked is not None and os.path.samestat(self._locked, self._lock_path.stat())
        except FileNotFoundError:
            return False

    def _write(self, content: bytes) -> bytes:
        scratch = self._path.with_suffix(".new")
        try:
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._path)
        except OSError as error:
            raise LeaseStoreError(f"{self._path} cannot be written: {error.strerror}") from error
        return content
