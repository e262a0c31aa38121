"""A Delta table's log and data files, without Spark: which files each commit added and removed.

``deltalake`` answers what a version holds; what a commit changed is read from the log's own JSON files (Delta's
transaction protocol, section Actions).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs
from cardwatch_lakehouse.locations import Location
from deltalake.fs import DeltaStorageHandler

from cardwatch_snowflake.errors import HistoryGoneError


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of a Delta table.

    Attributes:
        path: relative to the table, decoded.
        partition: column → value as the log writes it; None is null.
    """

    path: str
    partition: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Commit:
    """What one version changed in rows. Files that were only rewritten (OPTIMIZE) are in neither list.

    Attributes:
        at: when it was written, UTC; None if it does not say.
    """

    version: int
    at: datetime | None
    added: Sequence[DataFile]
    removed: Sequence[DataFile]


def parse_commit(version: int, lines: Sequence[str]) -> Commit:
    """Read one commit.

    Raises:
        HistoryGoneError: it removed a file without saying which partition that was in (``extendedFileMetadata``), or
            marks single rows of a file as deleted.
    """
    at: datetime | None = None
    added: list[DataFile] = []
    removed: list[DataFile] = []
    for line in lines:
        action: dict[str, Any] = json.loads(line)
        if "commitInfo" in action and action["commitInfo"].get("timestamp") is not None:
            at = datetime.fromtimestamp(action["commitInfo"]["timestamp"] / 1000, UTC)
        for kind, files in (("add", added), ("remove", removed)):
            file = action.get(kind)
            if file is None or not file.get("dataChange", True):
                continue
            if file.get("partitionValues") is None or file.get("deletionVector") is not None:
                raise HistoryGoneError(f"version {version} does not say which rows of {file['path']} changed")
            added_or_removed = DataFile(unquote(file["path"]), file["partitionValues"])
            files.append(added_or_removed)
    return Commit(version, at, added, removed)


class DeltaFiles:
    """The files under a table's directory, on any store of delta-rs; credentials come from the environment."""

    def __init__(self, location: Location) -> None:
        handler: Any = DeltaStorageHandler(location.uri, location.options())
        self._fs: Final = pa_fs.PyFileSystem(handler)
        self._format: Final = ds.ParquetFileFormat()

    def commit(self, version: int) -> Commit:
        """What a version changed.

        Raises:
            HistoryGoneError: its log file is gone, or lacks the information.
        """
        try:
            with self._fs.open_input_stream(f"_delta_log/{version:020d}.json") as stream:
                text: bytes = stream.readall()
        except FileNotFoundError as error:
            raise HistoryGoneError(f"the log of version {version} is gone") from error
        return parse_commit(version, text.decode().splitlines())

    def check_present(self, files: Sequence[DataFile]) -> None:
        """Make sure that files are still there.

        Raises:
            HistoryGoneError: one was vacuumed.
        """
        for info in self._fs.get_file_info([file.path for file in files]):
            if info.type == pa_fs.FileType.NotFound:
                raise HistoryGoneError(f"the file {info.path} was vacuumed")

    def dataset(self, files: Sequence[DataFile], schema: pa.Schema) -> ds.Dataset:
        """The rows of files; columns that a file does not have are null."""
        fragments = [
            self._format.make_fragment(
                file.path, filesystem=self._fs, partition_expression=_partition(file.partition, schema)
            )
            for file in files
        ]
        return ds.FileSystemDataset(fragments, schema, self._format, self._fs)


def _partition(values: Mapping[str, str | None], schema: pa.Schema) -> ds.Expression:
    expression = ds.scalar(True)
    for name, value in values.items():
        field = ds.field(name)
        # Delta writes a null partition value as an empty string or as null.
        is_value = field.is_null() if value in (None, "") else field == pa.scalar(value).cast(schema.field(name).type)
        expression = expression & is_value
    return expression
