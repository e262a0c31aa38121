"""How far a table is loaded, and what to do next. No I/O.

A table is loaded whole once (a *snapshot* of one version, in chunks of files), and from then on by *increments*: the
rows that changed from the loaded version to a newer one. Each step and the progress that it makes are one transaction.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Head:
    """The newest state of a Delta table.

    Attributes:
        table_id: Delta's id; a table that is dropped and created again has another.
        version: the newest one.
    """

    table_id: str
    version: int


@dataclass(frozen=True, slots=True)
class SnapshotProgress:
    """A load of the whole table that has begun.

    Attributes:
        table_id, version: the state that is loaded.
        files: how many of its files, in the order of their paths, are in the loading table.
        rows: how many rows are in the loading table.
    """

    table_id: str
    version: int
    files: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """What CARDWATCH_LOADS records of a table.

    Attributes:
        table_id, version: the state that the target table holds; None before the first load is complete.
        snapshot: the load of the whole table that is in progress, if there is one.
    """

    table_id: str | None = None
    version: int | None = None
    snapshot: SnapshotProgress | None = None


@dataclass(frozen=True, slots=True)
class UpToDate:
    """There is nothing to load."""


@dataclass(frozen=True, slots=True)
class Increment:
    """Load what changed since this version."""

    since: int


@dataclass(frozen=True, slots=True)
class BeginSnapshot:
    """Load the whole table as it is now, for the reason ``why``."""

    why: str


@dataclass(frozen=True, slots=True)
class ContinueSnapshot:
    """Continue the load of the whole table that has begun."""

    snapshot: SnapshotProgress


Step = UpToDate | Increment | BeginSnapshot | ContinueSnapshot


def next_step(progress: Progress, head: Head) -> Step:
    """What to do with a table, given how far it is loaded and its newest state."""
    if progress.snapshot is not None:
        if progress.snapshot.table_id == head.table_id and progress.snapshot.version <= head.version:
            return ContinueSnapshot(progress.snapshot)
        return BeginSnapshot("the table was created again while it was loaded")
    if progress.version is None:
        return BeginSnapshot("it was not loaded yet, or a reload was requested")
    if progress.table_id != head.table_id or progress.version > head.version:
        return BeginSnapshot("the table was created again since it was loaded")
    return UpToDate() if progress.version == head.version else Increment(progress.version)


def behind(progress: Progress, head: Head) -> int:
    """How many versions are not loaded; all of them where the table was not loaded, or was created again."""
    current = progress.version is not None and progress.table_id == head.table_id and progress.version <= head.version
    return head.version - (progress.version or 0) if current else head.version + 1


@dataclass(frozen=True, slots=True)
class Reached:
    """A version of a Delta table whose rows are on their way to Snowflake.

    Attributes:
        committed_at: when it was written, UTC; None where its commit does not say.
    """

    table_id: str
    version: int
    committed_at: datetime | None
