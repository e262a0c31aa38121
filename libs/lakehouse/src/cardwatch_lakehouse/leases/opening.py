"""The lease of a directory, wherever that is."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cardwatch_contracts.errors import ConfigurationError

from cardwatch_lakehouse.leases.lease import Clock, Lease, LeaseTimes
from cardwatch_lakehouse.leases.local_store import LocalLeaseStore
from cardwatch_lakehouse.leases.object_store import ObjectLeaseStore
from cardwatch_lakehouse.leases.record import this_process
from cardwatch_lakehouse.leases.store import LeaseStore
from cardwatch_lakehouse.locations import is_known_location, locate

LEASES_DIRECTORY: Final = "_leases"
WRITER: Final = "writer"
"""The lease of a directory of tables: that of their only writer."""

_SETTING: Final = "CARDWATCH_LEASES"


def why_no_lease(directory: str, environment: Mapping[str, str] = os.environ) -> str:
    """Why a directory has no lease: a phrase for a log; empty if it has one.

    Raises:
        ConfigurationError: ``CARDWATCH_LEASES`` is neither ``on`` nor ``off``.
    """
    setting = environment.get(_SETTING, "") or "on"
    if setting not in ("on", "off"):
        raise ConfigurationError(f"{_SETTING}: expected on or off, got {setting!r}")
    if setting == "off":
        return f"{_SETTING} is off"
    if not is_known_location(directory):
        return f"{directory} is neither a disk nor S3, Azure or Google Cloud storage"
    return ""


def open_lease(
    directory: str,
    name: str,
    what: str,
    *,
    sleep: Callable[[float], bool] | None = None,
    times: LeaseTimes | None = None,
) -> Lease:
    """The lease of some work in a directory, not taken yet. All that do the same work there must use the same name.

    Args:
        directory: a path or a URI as for ``locate``; need not exist.
        name: the work, such as that of a query on its checkpoint; a file's name.
        what: what this process is, for those who find it as the holder.
        sleep: waits for some seconds and returns whether to give up.

    Raises:
        ConfigurationError: the directory's address is wrong.
    """
    clock = Clock() if sleep is None else Clock(sleep=sleep)
    return Lease(_store(directory, name), this_process(what), times, clock)


def _store(directory: str, name: str) -> LeaseStore:
    location = locate(directory)
    if location.is_local:
        return LocalLeaseStore(Path(location.uri, LEASES_DIRECTORY, f"{name}.json"))
    return ObjectLeaseStore(location, f"{LEASES_DIRECTORY}/{name}.json")
