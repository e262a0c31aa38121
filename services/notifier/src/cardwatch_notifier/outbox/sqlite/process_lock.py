"""Keeps two processes from working on the same SQLite outbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cardwatch_contracts.errors import ConfigurationError
from filelock import FileLock, Timeout


@contextmanager
def lock_outbox(path: Path) -> Iterator[None]:
    """Lock the outbox for this process; the operating system releases the lock however the process ends.

    Raises:
        ConfigurationError: another process holds the lock, or the outbox's directory cannot be written.
    """
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigurationError(
            f"another notifier is working on the outbox {path}: stop it, "
            "or give this one its own with CARDWATCH_NOTIFIER_OUTBOX_PATH"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the outbox's directory {path.parent} cannot be used: {error.strerror}; "
            "CARDWATCH_NOTIFIER_OUTBOX_PATH must name a file in a directory that the notifier may write"
        ) from error
    try:
        yield
    finally:
        lock.release()
