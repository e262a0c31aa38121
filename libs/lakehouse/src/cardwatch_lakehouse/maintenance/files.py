"""A table's live files, by partition, from its log alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from deltalake import DeltaTable

SMALL_BYTES: Final = 32 << 20
"""A file of less is a small one: opening it costs about as much as reading it."""


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A file of the current version.

    Attributes:
        path: under the table's directory, as the log has it.
        size: bytes.
        written: when, UTC.
        low, high: smallest and largest value of the column that was asked for; None where the log does not say.
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
        values: partition column → value; empty for a table without partitions, which is one partition.
    """

    values: Mapping[str, Any]
    files: Sequence[LiveFile]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.size for file in self.files)

    @property
    def written(self) -> datetime:
        """When the newest of its files was written."""
        return max(file.written for file in self.files)

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


def partitions(table: DeltaTable, column: str = "") -> list[Partition]:
    """The partitions that have files, in the order of their values.

    Args:
        column: whose smallest and largest values the files shall say.
    """
    actions: Any = table.get_add_actions(flatten=True)
    names = table.metadata().partition_columns
    known = set(actions.schema.names)

    def of(name: str) -> list[Any]:
        found: list[Any] = actions.column(name).to_pylist() if name in known else [None] * actions.num_rows
        return found

    files: dict[tuple[Any, ...], list[LiveFile]] = {}
    keys = list(zip(*(of(f"partition.{name}") for name in names), strict=True)) or [()] * actions.num_rows
    sizes, times = of("size_bytes"), of("modification_time")
    for key, path, size, ms, low, high in zip(
        keys, of("path"), sizes, times, of(f"min.{column}"), of(f"max.{column}"), strict=True
    ):
        written = datetime.fromtimestamp(ms / 1000, UTC)
        files.setdefault(key, []).append(LiveFile(path, size, written, low, high))
    found = [Partition(dict(zip(names, key, strict=True)), held) for key, held in files.items()]
    return sorted(found, key=str)


@dataclass(frozen=True, slots=True)
class Measured:
    """A table's files in numbers.

    Attributes:
        files: live ones.
        size: of them all, bytes.
        small: those below SMALL_BYTES.
        most: live files of the partition that has the most.
    """

    files: int
    size: int
    small: int
    most: int


def measure(table: DeltaTable) -> Measured:
    """A table's files in numbers."""
    found = partitions(table)
    files = [file for partition in found for file in partition.files]
    return Measured(
        len(files),
        sum(file.size for file in files),
        sum(file.size < SMALL_BYTES for file in files),
        max((len(partition.files) for partition in found), default=0),
    )
