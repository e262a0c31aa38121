"""What the loader needs of a Delta table; ``delta_source`` implements it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cardwatch_snowflake.columns import Column
from cardwatch_snowflake.progress import Head, Reached


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed between two versions, in Parquet files that are ready to travel.

    Each row's key is in them once: with all columns as they are at ``reached``, or, marked in column
    ``columns.DELETED``, with the key alone.

    Attributes:
        reached: the version that the rows lead to.
        files: none where nothing changed.
    """

    reached: Reached
    columns: Sequence[Column]
    files: Sequence[Path]
    upserted: int
    deleted: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some files of one version, as Parquet files that are ready to travel.

    Attributes:
        reached: the version that they are of.
        files: the Parquet files to upload.
        files_done: how many of the version's files are loaded after this chunk.
        files_in_all: how many files the version has.
        rows: how many rows are in this chunk.
    """

    reached: Reached
    columns: Sequence[Column]
    files: Sequence[Path]
    files_done: int
    files_in_all: int
    rows: int

    @property
    def last(self) -> bool:
        """Whether nothing follows."""
        return self.files_done >= self.files_in_all


class Source(Protocol):
    """A Delta table to load from. All methods raise SourceError when it cannot be read now."""

    def head(self) -> Head | None:
        """The newest state; None if there is no such table yet."""

    def columns(self, version: int) -> Sequence[Column]:
        """The columns of a version.

        Raises:
            HistoryGoneError: the version is gone.
        """

    def changes(self, since: int, directory: Path) -> Changes:
        """What changed after version ``since``, up to the newest version or to as many rows as a load should have.

        Files are written into ``directory``.

        Raises:
            HistoryGoneError: the log or the files of one of these versions are gone.
        """

    def chunk(self, version: int, files_done: int, directory: Path) -> Chunk:
        """The next rows of a version, after so many of its files. Files are written into ``directory``.

        Raises:
            HistoryGoneError: the version or its files are gone.
        """
