"""The Delta tables of a lakehouse: which there are, what they hold, how they were at some time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cardwatch_contracts.errors import ConfigurationError
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

LAYERS: Final = ("bronze", "silver", "gold")


@dataclass(frozen=True, slots=True)
class Moment:
    """A state of the tables: as they are now, at a version of theirs, or at a time."""

    version: int | None = None
    at: datetime | None = None


NOW: Final = Moment()


@dataclass(frozen=True, slots=True)
class Summary:
    """A table in numbers.

    Attributes:
        rows: None where a file does not say how many it holds.
        size: of the live files, bytes.
        changed_at: of the last commit, UTC.
    """

    name: str
    version: int
    rows: int | None
    files: int
    size: int
    changed_at: datetime


class Catalog:
    """The tables under a directory, ``<layer>/<table>``; reading them does not disturb who writes."""

    def __init__(self, tables_dir: Path) -> None:
        self._dir: Final = tables_dir

    def names(self) -> list[str]:
        """``bronze.transactions``, ... in the order of the layers.

        Raises:
            ConfigurationError: there is none.
        """
        found = [
            f"{layer}.{path.parent.name}"
            for layer in LAYERS
            for path in sorted((self._dir / layer).glob("*/_delta_log"))
        ]
        if not found:
            raise ConfigurationError(
                f"there are no Delta tables under {self._dir}; --tables-dir names the directory with bronze, silver "
                "and gold in it"
            )
        return found

    def open(self, name: str, moment: Moment = NOW) -> DeltaTable:
        """A table as it was at some moment.

        Raises:
            ConfigurationError: there is no such table, or it was not there then.
        """
        if name not in self.names():
            raise ConfigurationError(f"there is no table {name}; there are {', '.join(self.names())}")
        path = self._dir.joinpath(*name.split("."))
        try:
            table = DeltaTable(str(path), version=moment.version)
            if moment.at is not None:
                # Asked for a time before there was a table, the library would give its first version.
                first = min(entry["timestamp"] for entry in table.history())
                if moment.at.timestamp() * 1000 < first:
                    raise ConfigurationError(f"the table {name} was not there yet at {moment.at.isoformat()}")
                table.load_as_version(moment.at)
        except TableNotFoundError as error:
            raise ConfigurationError(f"the table {name} is not complete yet; try again") from error
        except (DeltaError, OSError, ValueError) as error:
            then = f"version {moment.version}" if moment.at is None else f"{moment.at.isoformat()}"
            raise ConfigurationError(
                f"the table {name} cannot be read as of {then}: {str(error).splitlines()[0]}; "
                "`cardwatch tables history` lists its versions"
            ) from error
        return table

    def summary(self, name: str) -> Summary:
        """A table in numbers, from its log alone."""
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
        """The last commits of a table, newest first: version, time, operation and what it did."""
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
