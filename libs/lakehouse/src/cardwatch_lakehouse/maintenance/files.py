"""The live files of a table, by partition, from its log only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from deltalake import DeltaTable

SMALL_BYTES: Final = 32 << 20
"""A file below this size is small: opening it costs about as much as reading it."""


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A file of the current version.

    Attributes:
        path: relative to the table's directory, as in the log.
        size: bytes.
        written: time of writing, UTC.
        low, high: smallest and largest value of the requested column; None if the log does not have them.
    """

    path: str
    size: int
    written: datetime
    low: Any = None
    high: Any = None


@dataclass(frozen=True, slots=True)
class Partition:
    """The files of one partition.

    Attributes:
        values: partition column → value; empty for a table without partition columns, which is one partition.
    """

    values: Mapping[str, Any]
    files: Sequence[LiveFile]

    @property
    def size(self) -> int:
        """The size of all files, bytes."""
        return sum(file.size for file in self.files)

    @property
    def written(self) -> datetime:
        """The time of writing of the newest file, UTC."""
        return max(file.written for file in self.files)

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


def partitions(table: DeltaTable, column: str = "") -> list[Partition]:
    """The partitions that have files, in the order of their values.

    Args:
        column: the column whose smallest and largest values the files have.
    """
    actions: Any = table.get_add_actions(flatten=True)
    names = table.metadata().partition_columns
    known = set(actions.schema.names)

    def values(name: str) -> list[Any]:
        found: list[Any] = actions.column(name).to_pylist() if name in known else [None] * actions.num_rows
        return found

    files: dict[tuple[Any, ...], list[LiveFile]] = {}
    keys = list(zip(*(values(f"partition.{name}") for name in names), strict=True)) or [()] * actions.num_rows
    sizes, times = values("size_bytes"), values("modification_time")
    for key, path, size, ms, low, high in zip(
        keys, values("path"), sizes, times, values(f"min.{column}"), values(f"max.{column}"), strict=True
    ):
        written = datetime.fromtimestamp(ms / 1000, UTC)
        files.setdefault(key, []).append(LiveFile(path, size, written, low, high))
    found = [Partition(dict(zip(names, key, strict=True)), inside) for key, inside in files.items()]
    return sorted(found, key=str)


@dataclass(frozen=True, slots=True)
class FileFigures:
    """The live files of a table in numbers.

    Attributes:
        files: number of files.
        size: of all files, bytes.
        small: number of files below SMALL_BYTES.
        most: number of files of the partition that has the most.
    """

    files: int
    size: int
    small: int
    most: int


def measure(table: DeltaTable) -> FileFigures:
    """The live files of a table in numbers."""
    found = partitions(table)
    files = [file for partition in found for file in partition.files]
    return FileFigures(
        len(files),
        sum(file.size for file in files),
        sum(file.size < SMALL_BYTES for file in files),
        max((len(partition.files) for partition in found), default=0),
    )
