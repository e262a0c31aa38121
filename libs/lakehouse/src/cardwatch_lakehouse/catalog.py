"""The Delta tables of a lakehouse, read without Spark: names, summaries, history and old versions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow.fs as pafs
from cardwatch_contracts.errors import ConfigurationError
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler

from cardwatch_lakehouse.locations import Location, locate

LAYERS: Final = ("bronze", "silver", "gold")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_MESSAGE: Final = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)
_MAX_MESSAGE_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True)
class Moment:
    """A state of the tables: now, at a version, or at a time."""

    version: int | None = None
    at: datetime | None = None


NOW: Final = Moment()


@dataclass(frozen=True, slots=True)
class Summary:
    """A table in numbers.

    Attributes:
        rows: number of rows; None if the log does not have it for every file.
        size: of the live files, bytes.
        changed_at: time of the last commit, UTC.
    """

    name: str
    version: int
    rows: int | None
    files: int
    size: int
    changed_at: datetime


class Catalog:
    """The tables under a directory, ``<layer>/<table>``. Reading them does not block writers."""

    def __init__(self, tables_dir: str) -> None:
        """
        Args:
            tables_dir: see ``locate``; it is not read yet.

        Raises:
            ConfigurationError: only Spark can read this location.
        """
        self._dir: Final = locate(tables_dir)

    @property
    def location(self) -> Location:
        """The directory of the tables."""
        return self._dir

    def names(self) -> list[str]:
        """The names of the tables, ``bronze.transactions`` and so on, in the order of the layers.

        Raises:
            ConfigurationError: there are no tables, or the location cannot be read.
        """
        try:
            found = [f"{layer}.{table}" for layer in LAYERS for table in self._tables_of(layer)]
        except (DeltaError, OSError, ValueError) as error:
            raise ConfigurationError(f"{self._dir.uri} cannot be read: {one_line(error)}") from error
        if not found:
            raise ConfigurationError(
                f"there are no Delta tables under {self._dir.uri}; expected bronze, silver and gold in it"
            )
        return found

    def _tables_of(self, layer: str) -> list[str]:
        # delta-rs creates a local directory if it does not exist; a reader must not.
        if self._dir.is_local and not Path(self._dir.uri, layer).is_dir():
            return []
        files = pafs.PyFileSystem(DeltaStorageHandler(self._dir.uri, self._dir.options()))
        inside = files.get_file_info(pafs.FileSelector(layer, allow_not_found=True))
        tables = sorted(entry.base_name for entry in inside if entry.type is pafs.FileType.Directory)
        logs = files.get_file_info([f"{layer}/{table}/_delta_log" for table in tables])
        return [table for table, log in zip(tables, logs, strict=True) if log.type is pafs.FileType.Directory]

    def open(self, name: str, moment: Moment = NOW) -> DeltaTable:
        """A table at a moment.

        Raises:
            ConfigurationError: there is no such table, it did not exist then, or it cannot be read.
        """
        place = self._dir.of(name)
        try:
            table = DeltaTable(place.uri, version=moment.version, storage_options=place.options())
            if moment.at is not None:
                # For a time before the first version, the library would return the first version.
                first = min(entry["timestamp"] for entry in table.history())
                if moment.at.timestamp() * 1000 < first:
                    raise ConfigurationError(f"the table {name} did not exist yet at {moment.at.isoformat()}")
                table.load_as_version(moment.at)
        except TableNotFoundError as error:
            raise ConfigurationError(self._absent(name)) from error
        except (DeltaError, OSError, ValueError) as error:
            if name not in self.names():
                raise ConfigurationError(self._absent(name)) from error
            if moment == NOW:
                raise ConfigurationError(f"the table {name} cannot be read: {one_line(error)}") from error
            then = f"version {moment.version}" if moment.at is None else f"{moment.at.isoformat()}"
            raise ConfigurationError(
                f"the table {name} cannot be read as of {then}: {one_line(error)}; "
                "`cardwatch tables history` lists its versions"
            ) from error
        return table

    def _absent(self, name: str) -> str:
        names = self.names()
        if name in names:
            return f"the table {name} is not complete yet; try again"
        return f"there is no table {name}; the tables are {', '.join(names)}"

    def summary(self, name: str) -> Summary:
        """A table in numbers, from its log only."""
        table = self.open(name)
        actions: Any = table.get_add_actions(flatten=True)
        sizes = actions.column("size_bytes").to_pylist()
        rows = actions.column("num_records").to_pylist() if "num_records" in actions.schema.names else [None]
        last = table.history(1)[0]
        return Summary(
            name,
            table.version(),
            None if None in rows else sum(rows),
            len(sizes),
            sum(sizes),
            datetime.fromtimestamp(last["timestamp"] / 1000, UTC),
        )

    def history(self, name: str, limit: int) -> Iterator[dict[str, Any]]:
        """The last commits of a table, newest first: version, time, operation, and numbers of rows and files."""
        for entry in self.open(name).history(limit):
            metrics = entry.get("operationMetrics") or {}
            yield {
                "version": entry.get("version"),
                "at": datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
                "operation": entry.get("operation", ""),
                "rows": metrics.get("numOutputRows") or metrics.get("num_output_rows"),
                "files_added": metrics.get("numFiles") or metrics.get("numTargetFilesAdded"),
                "by": entry.get("engineInfo", ""),
            }


def one_line(error: Exception) -> str:
    """An error of delta-rs as one line: without colours, with its causes, and with the message of a store's XML."""
    text = _COLOUR.sub("", str(error))
    causes, _, xml = text.partition("<?xml")
    message = _MESSAGE.search(xml)
    lines = [line.strip(" ↳:") for line in causes.splitlines()] + ([message[1]] if message else [])
    return ": ".join(line for line in lines if line)[:_MAX_MESSAGE_CHARACTERS]
