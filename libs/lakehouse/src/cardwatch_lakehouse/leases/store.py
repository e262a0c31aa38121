"""What a lease needs of the place that it is kept in, and the errors of leases."""

from enum import Enum, auto
from typing import Any, Protocol

from cardwatch_contracts.errors import CardwatchError


class LeaseStoreError(CardwatchError):
    """The place of a lease does not answer, or may not be written."""


class LeaseConflictError(CardwatchError):
    """Somebody else has created or changed the lease's file since it was read."""


class LeaseHeldError(CardwatchError):
    """Another process holds the lease."""


class LeaseLostError(CardwatchError):
    """This process has lost the lease to another one, and must write nothing any more."""


class SystemLock(Enum):
    """The operating system's answer to an attempt to lock a lease's file."""

    ACQUIRED = auto()
    """This process has the lock, and nobody else can get it before it ends."""
    TAKEN = auto()
    """Another process has it."""
    NOT_AVAILABLE = auto()
    """The place has no such lock, as object stores: only the lease's file says who holds it."""


class LeaseStore(Protocol):
    """One lease's file. Writes are conditional: two processes that write at the same time do not both succeed."""

    @property
    def where(self) -> str:
        """The file, for people."""

    @property
    def has_system_lock(self) -> bool:
        """Whether the operating system knows who holds the lease, so that there is nothing to renew."""

    def try_lock(self) -> SystemLock:
        """Try to get the operating system's lock, without waiting for it."""

    def read(self) -> tuple[bytes, Any] | None:
        """The file's content and version; None if there is no file.

        Raises:
            LeaseStoreError: it cannot be read.
        """

    def create(self, content: bytes) -> Any:
        """Write the file, which must not exist; returns its version.

        Raises:
            LeaseConflictError: it exists.
            LeaseStoreError: it cannot be written, or nothing is known about whether it was.
        """

    def replace(self, content: bytes, version: Any) -> Any:
        """Write the file, which must still have this version; returns its new one.

        Raises:
            LeaseConflictError: it has another one, or is gone.
            LeaseStoreError: it cannot be written, or nothing is known about whether it was.
        """

    def close(self) -> None:
        """Give back the operating system's lock, if there is one."""
