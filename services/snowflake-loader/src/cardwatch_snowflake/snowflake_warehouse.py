"""Tables and progress in Snowflake, over one connection that is opened when it is needed.

Data definition ends a transaction in Snowflake, so tables and columns are made before one begins. Files travel
through a named internal stage, each load in a directory of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from uuid import uuid4

from cardwatch_service.logs import get_logger
from snowflake.connector import errors

from cardwatch_snowflake import statements as sql
from cardwatch_snowflake.columns import Column, missing
from cardwatch_snowflake.errors import HistoryGoneError, SupersededError, WarehouseError
from cardwatch_snowflake.failures import is_transient
from cardwatch_snowflake.progress import Progress, Reached, SnapshotProgress
from cardwatch_snowflake.source import Changes, Chunk

log = get_logger(__name__)


class Cursor(Protocol):
    """The part of the connector's cursor that is used."""

    @property
    def rowcount(self) -> int | None:
        """How many rows the last statement changed or returned."""

    def execute(self, command: str, params: Sequence[Any] | None = None) -> Any:
        """Run a statement."""

    def fetchall(self) -> list[Any]:
        """The rows of the last statement."""


class Connection(Protocol):
    """The part of the connector's connection that is used."""

    def cursor(self) -> Cursor:
        """A cursor to run statements with."""

    def close(self) -> None:
        """End the session; an open transaction is rolled back."""


Connect = Callable[[], Connection]


class Load(NamedTuple):
    """One row of CARDWATCH_LOADS, for people."""

    table: str
    version: int | None
    committed_at: datetime | None
    upserted: int | None
    deleted: int | None
    loaded_at: datetime | None
    snapshot_version: int | None
    snapshot_files: int | None
    snapshot_rows: int | None


class SnowflakeWarehouse:
    """A ``Warehouse``. ``connect`` opens a session whose database and schema are those to load into."""

    def __init__(self, connect: Connect) -> None:
        self._connect: Final = connect
        self._connection: Connection | None = None
        self._cursor: Cursor | None = None
        self._prepared = False

    def open(self) -> None:
        """Connect, and create stage and CARDWATCH_LOADS if they are missing; any other method does so as well.

        Raises:
            WarehouseError: Snowflake does not answer, or the role lacks a right.
        """
        with self._translated():
            self._ready_cursor()

    def progress(self, table: str) -> Progress:
        """See ``Warehouse``."""
        with self._translated():
            self._run(sql.ENTER_TABLE, table)
            ((table_id, version, snapshot_id, snapshot_version, files, rows),) = self._run(sql.READ_PROGRESS, table)
            snapshot = None if snapshot_id is None else SnapshotProgress(snapshot_id, snapshot_version, files, rows)
            if snapshot is None:
                # Left over if a process ended between the commit and its removal.
                self._run(sql.drop_loading(table))
            return Progress(table_id, version, snapshot)

    def apply(self, table: str, key: Sequence[str], changes: Changes, expected: Progress) -> Progress:
        """See ``Warehouse``."""
        reached = changes.reached
        with self._translated():
            directory = ""
            if changes.files:
                self._ensure_target(table, changes.columns, key)
                self._run(sql.create_staged(table, changes.columns))
                self._ensure_columns(sql.staged(table), changes.columns, in_staging=True)
                directory = self._put(table, changes.files)
            with self._transaction():
                self._record_loaded(table, reached, changes.upserted, changes.deleted, expected)
                if changes.files:
                    self._run(sql.delete_all(sql.staged(table)))
                    self._run(sql.copy_into(sql.staged(table), directory))
                    self._check_count(sql.staged(table), changes.upserted + changes.deleted)
                    self._run(sql.merge(table, changes.columns, key))
                    # Deleted rows must not stay here.
                    self._run(sql.delete_all(sql.staged(table)))
            if directory:
                self._run(sql.remove(directory))
        return Progress(reached.table_id, reached.version)

    def begin_snapshot(
        self, table: str, columns: Sequence[Column], begun: SnapshotProgress, expected: Progress
    ) -> Progress:
        """See ``Warehouse``."""
        with self._translated():
            # The record must not claim rows in the loading table while that table may be another loader's or gone.
            cleared = Progress(expected.table_id, expected.version)
            if expected.snapshot is not None:
                self._record_snapshot(table, None, expected)
            self._run(sql.create_loading(table, columns))
            self._record_snapshot(table, begun, cleared)
        return Progress(expected.table_id, expected.version, begun)

    def gather(self, table: str, chunk: Chunk, expected: Progress) -> Progress:
        """See ``Warehouse``."""
        before = _snapshot(expected)
        after = SnapshotProgress(before.table_id, before.version, chunk.files_done, before.rows + chunk.rows)
        loading = sql.loading(table)
        with self._translated():
            directory = self._put(table, chunk.files) if chunk.files else ""
            with self._transaction():
                self._record_snapshot(table, after, expected)
                if self._count(loading) != before.rows:
                    raise HistoryGoneError(f"{loading} does not hold what was gathered in it")
                if chunk.files:
                    self._run(sql.copy_into(loading, directory))
                    self._check_count(loading, after.rows)
            if directory:
                self._run(sql.remove(directory))
        return Progress(expected.table_id, expected.version, after)

    def finish_snapshot(
        self, table: str, key: Sequence[str], columns: Sequence[Column], reached: Reached, expected: Progress
    ) -> Progress:
        """See ``Warehouse``."""
        gathered = _snapshot(expected)
        with self._translated():
            self._ensure_target(table, columns, key)
            with self._transaction():
                self._record_loaded(table, reached, gathered.rows, 0, expected)
                if self._count(sql.loading(table)) != gathered.rows:
                    raise HistoryGoneError(f"{sql.loading(table)} does not hold what was gathered in it")
                self._run(sql.delete_all(sql.target(table)))
                self._run(sql.insert_loaded(table, columns))
            self._run(sql.drop_loading(table))
        return Progress(reached.table_id, reached.version)

    def forget_progress(self, table: str) -> bool:
        """Request a load of the whole table; returns whether it was ever loaded."""
        with self._translated():
            self._run(sql.FORGET_PROGRESS, table)
            return self._rowcount() == 1

    def loads(self) -> list[Load]:
        """CARDWATCH_LOADS, for people."""
        with self._translated():
            return [Load(*row) for row in self._run(sql.READ_LOADS)]

    def disconnect(self) -> None:
        """See ``Warehouse``."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            with suppress(Exception):  # it may be broken, which is why it is closed
                connection.close()

    def _ensure_target(self, table: str, columns: Sequence[Column], key: Sequence[str]) -> None:
        self._run(sql.create_target(table, columns, key))
        self._ensure_columns(sql.target(table), columns, in_staging=False)

    def _ensure_columns(self, name: str, columns: Sequence[Column], *, in_staging: bool) -> None:
        present = [row[0] for row in self._run(sql.COLUMN_NAMES, name)]
        if new := missing(columns, present):
            self._run(sql.add_columns(name, new, in_staging=in_staging))
            log.info("columns added", table=name, columns=[column.name for column in new])

    def _put(self, table: str, files: Sequence[Path]) -> str:
        directory = sql.stage_directory(table, uuid4().hex)
        for file in files:
            self._run(sql.put(str(file.resolve()), directory))
        return directory

    def _record_loaded(self, table: str, reached: Reached, upserted: int, deleted: int, expected: Progress) -> None:
        at = None if reached.committed_at is None else reached.committed_at.replace(tzinfo=None).isoformat(" ")
        values = (reached.table_id, reached.version, at, upserted, deleted)
        self._change(table, sql.RECORD_LOADED, *values, *_expected_values(table, expected))

    def _record_snapshot(self, table: str, snapshot: SnapshotProgress | None, expected: Progress) -> None:
        values = (
            (None, None, None, None)
            if snapshot is None
            else (snapshot.table_id, snapshot.version, snapshot.files, snapshot.rows)
        )
        self._change(table, sql.RECORD_SNAPSHOT, *values, *_expected_values(table, expected))

    def _change(self, table: str, statement: str, *values: Any) -> None:
        self._run(statement, *values)
        if self._rowcount() != 1:
            raise SupersededError(table)

    def _count(self, name: str) -> int:
        ((number,),) = self._run(sql.count(name))
        return int(number)

    def _check_count(self, name: str, rows: int) -> None:
        found = self._count(name)
        if found != rows:
            raise WarehouseError(f"{name} holds {found:,} rows after COPY, not {rows:,}", transient=True)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run(sql.BEGIN)
        try:
            yield
            self._run(sql.COMMIT)
        except Exception:
            with suppress(errors.Error):
                self._run(sql.ROLLBACK)
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the connector's errors into a WarehouseError with one sentence."""
        try:
            yield
        except errors.Error as error:
            first = (str(error) or type(error).__name__).replace("\n", " ")
            raise WarehouseError(f"Snowflake: {first}", transient=is_transient(error)) from error

    def _run(self, statement: str, *values: Any) -> list[Any]:
        cursor = self._ready_cursor()
        cursor.execute(statement, values or None)
        return cursor.fetchall()

    def _ready_cursor(self) -> Cursor:
        if self._cursor is None:
            self._connection = self._connect()
            self._cursor = self._connection.cursor()
        if not self._prepared:
            for statement in (sql.CREATE_STAGE, sql.CREATE_LOADS):
                self._cursor.execute(statement, None)
            self._prepared = True
        return self._cursor

    def _rowcount(self) -> int | None:
        return None if self._cursor is None else self._cursor.rowcount


def _expected_values(table: str, expected: Progress) -> tuple[Any, ...]:
    snapshot = expected.snapshot
    begun = (None, None, None) if snapshot is None else (snapshot.table_id, snapshot.version, snapshot.files)
    return (table, expected.table_id, expected.version, *begun)


def _snapshot(progress: Progress) -> SnapshotProgress:
    if progress.snapshot is None:
        raise AssertionError("the snapshot was begun before")
    return progress.snapshot
