"""Deletes files that no kept version of a table needs."""

from datetime import timedelta
from typing import Final

from cardwatch_contracts.errors import ConfigurationError

from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.maintenance.conflict_retry import retry_maintenance_on_conflict

DEFAULT_KEEP: Final = timedelta(days=7)
_MIN_KEEP: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


def vacuum(
    catalog: Catalog, name: str, keep: timedelta = DEFAULT_KEEP, *, dry_run: bool = False, force: bool = False
) -> list[str]:
    """Delete files that were removed from a table at least ``keep`` ago, and files of writes that never finished.

    Args:
        keep: how long old versions stay readable, in whole hours.
        dry_run: delete nothing.
        force: allow a `keep` that is so short that it endangers running readers and writers.

    Returns:
        The files' paths.

    Raises:
        ConfigurationError: there is no such table, or `keep` is too short.
    """
    if keep < _MIN_KEEP and not force:
        raise ConfigurationError(
            f"expected files to be kept for at least {_MIN_KEEP.days} day: running queries and stopped streams may "
            "still read files that were removed from the table, and a file being written is not in it yet; use --force "
            "if nothing reads or writes"
        )
    hours = int(keep / _HOUR)
    return retry_maintenance_on_conflict(
        lambda: catalog.open(name).vacuum(hours, dry_run=dry_run, enforce_retention_duration=False, full=True)
    )
