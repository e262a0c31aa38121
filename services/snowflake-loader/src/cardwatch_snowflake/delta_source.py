"""Reads a Delta table for the loader: rows that changed between versions, and whole versions in chunks.

Rows are compared and written by DuckDB, which holds what does not fit into its memory limit in files.
"""
# ruff: noqa: S608 - names are those of the tables' columns, and quoted; values are bound

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from cardwatch_lakehouse.locations import Location
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from cardwatch_snowflake.columns import DELETED, Column, columns_of, quoted
from cardwatch_snowflake.delta_log import DeltaFiles
from cardwatch_snowflake.errors import HistoryGoneError, SourceError
from cardwatch_snowflake.progress import Head, Reached
from cardwatch_snowflake.source import Changes, Chunk

# In DuckDB only: the version of the commit that a row belongs to.
_VERSION: Final = "CARDWATCH_VERSION"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done at once.

    Attributes:
        rows: a load ends with the commit or file that reaches this many rows.
        file_bytes: a file that travels is about as big at most (Snowflake advises 100 to 250 MB).
        memory: of DuckDB, in its words: ``512MB``.
    """

    rows: int
    file_bytes: int = 128 * 1024 * 1024
    memory: str = "512MB"


class DeltaSource:
    """A ``Source``.

    Args:
        location: of the Delta table.
        key: the columns that identify a row.
    """

    def __init__(self, name: str, location: Location, key: Sequence[str], limits: Limits) -> None:
        self._name: Final = name
        self._location: Final = location
        self._key: Final = tuple(key)
        self._limits: Final = limits

    def head(self) -> Head | None:
        """See ``Source``."""
        with self._readable():
            try:
                table = self._newest()
            except TableNotFoundError:
                return None
            return Head(str(table.metadata().id), table.version())

    def columns(self, version: int) -> Sequence[Column]:
        """See ``Source``."""
        with self._readable():
            return columns_of(_schema(self._at(version)))

    def changes(self, since: int, directory: Path) -> Changes:
        """See ``Source``.

        Commits are read one by one. A commit's changed rows are those of the files that it added, less those
        that a file which it removed holds unchanged; its deleted rows are the keys that only removed files hold. Of
        several changes of one key, the last counts.
        """
        with self._readable():
            table = self._newest()
            schema = _schema(table)
            columns = columns_of(schema)
            files = DeltaFiles(self._location)
            with self._duckdb(directory) as db:
                db.register("added", files.dataset([], schema))
                _run(db, f"CREATE TABLE changes AS {_changed(columns, 'added')} LIMIT 0", _bound(0, deleted=False))
                reached = Reached(str(table.metadata().id), since, None)
                while (
                    reached.version < table.version() and _one(db, "SELECT count(*) FROM changes") < self._limits.rows
                ):
                    commit = files.commit(reached.version + 1)
                    reached = Reached(reached.table_id, commit.version, commit.at)
                    if commit.added or commit.removed:
                        files.check_present([*commit.added, *commit.removed])
                        db.register("added", files.dataset(commit.added, schema))
                        db.register("removed", files.dataset(commit.removed, schema))
                        self._collect(db, columns, commit.version)
                _run(
                    db,
                    f"CREATE TABLE kept AS SELECT * EXCLUDE ({_VERSION}) FROM changes QUALIFY row_number() OVER "
                    f"(PARTITION BY {_names(self._key)} ORDER BY {_VERSION} DESC) = 1",
                )
                deleted = _one(db, f"SELECT count(*) FROM kept WHERE {quoted(DELETED)}")
                rows = _one(db, "SELECT count(*) FROM kept")
                written = self._write(db, "SELECT * FROM kept", directory) if rows else []
            return Changes(reached, columns, written, rows - deleted, deleted)

    def chunk(self, version: int, files_done: int, directory: Path) -> Chunk:
        """See ``Source``."""
        with self._readable():
            table = self._at(version)
            schema = _schema(table)
            columns = columns_of(schema)
            whole: Any = table.to_pyarrow_dataset()
            fragments = sorted(whole.get_fragments(), key=lambda fragment: str(fragment.path))
            taken: list[Any] = []
            rows = 0
            for fragment in fragments[files_done:]:
                if rows >= self._limits.rows:
                    break
                try:
                    rows += fragment.count_rows()
                except FileNotFoundError as error:
                    raise HistoryGoneError(f"the file {fragment.path} of version {version} was vacuumed") from error
                taken.append(fragment)
            written: list[Path] = []
            if rows:
                with self._duckdb(directory) as db:
                    db.register("part", ds.FileSystemDataset(taken, schema, whole.format, whole.filesystem))
                    written = self._write(db, f"SELECT {_travelling(columns)} FROM part", directory)
            at = datetime.fromtimestamp(table.history(1)[0]["timestamp"] / 1000, UTC)
            done = files_done + len(taken)
            reached = Reached(str(table.metadata().id), version, at)
            return Chunk(reached, columns, written, done, len(fragments), rows)

    def _newest(self) -> DeltaTable:
        return DeltaTable(self._location.uri, storage_options=self._location.options())

    def _at(self, version: int) -> DeltaTable:
        try:
            return DeltaTable(self._location.uri, version=version, storage_options=self._location.options())
        except (DeltaError, OSError, ValueError) as error:
            raise HistoryGoneError(f"version {version} can no longer be read") from error

    def _collect(self, db: duckdb.DuckDBPyConnection, columns: Sequence[Column], version: int) -> None:
        """Add what one commit changed; its files are registered as ``added`` and ``removed``."""
        rows = "(SELECT * FROM added EXCEPT SELECT * FROM removed)"
        _run(db, f"INSERT INTO changes {_changed(columns, rows)}", _bound(version, deleted=False))
        keys = _names(self._key)
        gone = f"(SELECT {keys} FROM removed EXCEPT SELECT {keys} FROM added)"
        own = [column for column in columns if column.name in self._key]
        _run(db, f"INSERT INTO changes BY NAME {_changed(own, gone)}", _bound(version, deleted=True))

    def _write(self, db: duckdb.DuckDBPyConnection, select: str, directory: Path) -> list[Path]:
        out = directory / "rows"
        target = str(out).replace("'", "''")
        _run(
            db,
            f"COPY ({select}) TO '{target}' "
            f"(FORMAT parquet, COMPRESSION snappy, FILE_SIZE_BYTES {self._limits.file_bytes})",
        )
        return sorted(out.glob("*.parquet"))

    @contextmanager
    def _duckdb(self, directory: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect() as db:
            _run(db, "SET TimeZone = 'UTC'")
            _run(db, "SET preserve_insertion_order = false")
            _run(db, "SET memory_limit = $memory", {"memory": self._limits.memory})
            _run(db, "SET temp_directory = $directory", {"directory": str(directory / "spill")})
            yield db

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Errors of the libraries that read become one sentence."""
        try:
            yield
        except (DeltaError, OSError, duckdb.Error, pa.ArrowException) as error:
            raise SourceError(f"the table {self._name} cannot be read: {str(error).splitlines()[0]}") from error


def _run(db: duckdb.DuckDBPyConnection, statement: str, values: dict[str, Any] | None = None) -> None:
    """Run a statement to its end: a connection takes nothing else before."""
    db.execute(statement, values).fetchall()


def _bound(version: int, *, deleted: bool) -> dict[str, Any]:
    return {"version": version, "deleted": deleted}


def _changed(columns: Sequence[Column], rows: str) -> str:
    """Select rows as they travel, marked; bound: version, deleted."""
    return (
        f"SELECT {_travelling(columns)}, CAST($deleted AS BOOLEAN) AS {quoted(DELETED)}, "
        f"CAST($version AS BIGINT) AS {_VERSION} FROM {rows}"
    )


def _travelling(columns: Sequence[Column]) -> str:
    return ", ".join(f"{column.to_parquet} AS {column.target}" for column in columns)


def _names(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _one(db: duckdb.DuckDBPyConnection, select: str) -> int:
    ((number,),) = db.execute(select).fetchall()
    return int(number)


def _schema(table: DeltaTable) -> pa.Schema:
    schema: Any = table.schema().to_arrow()
    return pa.schema(schema)
