"""Deleting the files that no kept version of a table needs."""

from datetime import timedelta
from typing import Final

from cardwatch_contracts.errors import ConfigurationError

from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.maintenance.commit_retry import retried

KEPT: Final = timedelta(days=7)
_SHORTEST: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


def vacuum(
    catalog: Catalog, name: str, keep: timedelta = KEPT, *, dry_run: bool = False, force: bool = False
) -> list[str]:
    """Delete the files that left a table at least so long ago, and those of writes that were never finished.

    Args:
        keep: how far back versions stay readable, in whole hours.
        dry_run: only say which they are.
        force: also if `keep` is so short that it endangers who reads or writes now.

    Returns:
        The files' paths.

    Raises:
        ConfigurationError: there is no such table, or `keep` is too short.
    """
    if keep < _SHORTEST and not force:
        raise ConfigurationError(
            f"files are kept {_SHORTEST.days} day at least: a query that is running, or a stream that was stopped, may "
            "still read what has left the table, and a file being written is not in it yet; --force if nothing reads "
            "or writes"
        )
    hours = int(keep / _HOUR)
    return retried(
        lambda: catalog.open(name).vacuum(hours, dry_run=dry_run, enforce_retention_duration=False, full=True)
    )
