"""SQL queries over the Delta tables, with DuckDB.

The query is not trusted: ``sandbox`` says what it can reach and use.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.catalog import LAYERS, NOW, Catalog, Moment
from deltalake import DeltaTable

from cardwatch_cli.interruption import interruptible
from cardwatch_cli.tables.pruning import Condition, marked, needed_files, scans
from cardwatch_cli.tables.sandbox import DEFAULT_LIMITS, Limits, confine, fetch, query_inside, refusal

_NAME: Final = re.compile(rf'\b({"|".join(LAYERS)})"?\."?(\w+)', re.IGNORECASE)

_SHOW: Final = re.compile(r"\s*SHOW\b", re.IGNORECASE)


@dataclass(frozen=True)
class Lake:
    """The tables that queries read.

    Attributes:
        moment: the time or version to read. A version is that of one table.
        only: the table that ``moment.version`` is a version of; the others are read as they are now.
        make_view: creates the view of a table.
        limits: of memory and time, for one query.
    """

    connection: duckdb.DuckDBPyConnection
    catalog: Catalog
    moment: Moment
    only: str | None
    make_view: "Callable[[int, str, DeltaTable], TableView]"
    limits: Limits = DEFAULT_LIMITS

    def open(self, name: str) -> DeltaTable:
        """A table at the lake's moment."""
        return self.catalog.open(name, self.moment if self.only in (None, name) else NOW)


@contextmanager
def open_lake(
    catalog: Catalog,
    moment: Moment = NOW,
    only: str | None = None,
    make_view: "Callable[[int, str, DeltaTable], TableView] | None" = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Lake]:
    """A connection in which queries can name the tables: ``gold.alerts``.

    Args:
        moment, only, make_view, limits: see ``Lake``.
    """
    connection = duckdb.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for layer in LAYERS:
            connection.execute(f"CREATE SCHEMA {layer}")
        confine(connection, catalog.location, limits)
        yield Lake(connection, catalog, moment, only, make_view or TableView, limits)
    finally:
        connection.close()


def run_query(lake: Lake, sql: str) -> pa.Table:
    """The result of one statement that reads. Only files that can contain a part of it are opened.

    A signal ends it at once.

    Raises:
        ConfigurationError: it is not one statement that reads, DuckDB cannot run it, it would read something else than
            the tables, or it needs more memory or time than the lake's limits.
    """
    limits = lake.limits
    try:
        return interruptible(partial(_run_query, lake, sql), lake.connection.interrupt, limits.seconds)
    except TimeoutError as error:
        raise ConfigurationError(
            f"the query was stopped after {limits.timeout}; make it smaller, or allow it more time with --timeout"
        ) from error


def _run_query(lake: Lake, sql: str) -> pa.Table:
    connection = lake.connection
    try:
        query = query_inside(connection, sql)
        views = _planned_views(lake, query)
        files = _needed_files(connection, query, views)
        try:
            for view in views:
                view.over_files(connection, files[view.number])
            return fetch(connection, sql, lake.limits)
        except (duckdb.InterruptException, duckdb.OutOfMemoryException):
            raise
        except duckdb.Error:
            # Files of an older version may lack a column, which is an error for DuckDB's own reader.
            for view in views:
                view.over_dataset(connection)
            return fetch(connection, sql, lake.limits)
    except duckdb.Error as error:
        raise ConfigurationError(refusal(error, lake.limits)) from error


class TableView:
    """A table of the lakehouse as a view in DuckDB: empty for planning, then over the files that are needed."""

    def __init__(self, number: int, name: str, table: DeltaTable) -> None:
        self.number: Final = number
        self.table: Final = table
        self.actions: Final = pa.table(table.get_add_actions(flatten=True))
        layer, _, base = name.partition(".")
        self._sql_name: Final = f'{layer}."{base}"'
        self._registered_name: Final = f"{layer}__{base}"
        self._schema: Final = _schema(table)

    def empty(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create a view without rows, whose column names identify the table in a query plan."""
        names = [marked(self.number, field.name) for field in self._schema]
        # A dataset: conditions are not pushed down to a table in memory, so they would not be in its plan.
        none: Any = ds.dataset(self._schema.empty_table().rename_columns(names))
        connection.register(f"{self._registered_name}__empty", none)
        columns = ", ".join(f'"{name}" AS "{field.name}"' for name, field in zip(names, self._schema, strict=True))
        self._create(connection, f'SELECT {columns} FROM "{self._registered_name}__empty"')  # noqa: S608

    def over_files(self, connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
        """Make the view over files, read by DuckDB, which skips parts of files; as a dataset if the columns differ."""
        if not paths:
            return  # no file can contain a part of the result: the table stays empty
        root = Path(self.table.table_uri.removeprefix("file://"))
        if not root.is_dir() or any("%" in path for path in paths):
            self.over_dataset(connection)  # on an object store, or names with escaped characters
            return
        expected_types = self._types(connection, f"SELECT * FROM {self._sql_name}")  # noqa: S608
        partitions = self.table.metadata().partition_columns
        types = ", ".join(f'"{name}": {expected_types[name]}' for name in partitions)
        hive = f", hive_partitioning = true, hive_types = {{{types}}}" if partitions else ", hive_partitioning = false"
        listed = ", ".join("'" + str(root / path).replace("'", "''") + "'" for path in paths)
        columns = ", ".join(f'"{field.name}"' for field in self._schema)
        scan = f"SELECT {columns} FROM read_parquet([{listed}]{hive})"  # noqa: S608
        if self._types(connection, scan) == expected_types:
            self._create(connection, scan)
        else:
            self.over_dataset(connection)

    def over_dataset(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the view over the whole table, read by Arrow: slower, but for any storage and any columns."""
        dataset: Any = self.table.to_pyarrow_dataset()
        connection.register(self._registered_name, dataset)
        self._create(connection, f'SELECT * FROM "{self._registered_name}"')  # noqa: S608

    def _create(self, connection: duckdb.DuckDBPyConnection, select: str) -> None:
        connection.execute(f"CREATE OR REPLACE VIEW {self._sql_name} AS {select}")

    @staticmethod
    def _types(connection: duckdb.DuckDBPyConnection, select: str) -> Mapping[str, str]:
        relation = connection.sql(select)
        return dict(zip(relation.columns, (str(kind) for kind in relation.types), strict=True))


def _schema(table: DeltaTable) -> pa.Schema:
    schema: Any = table.schema().to_arrow()
    return pa.schema(schema)


def _planned_views(lake: Lake, sql: str) -> list[TableView]:
    # Names that only look like a table, such as an alias with a column, are left out. DuckDB's own list of a query's
    # tables cannot be used: to compute it, DuckDB looks for columns in tables that it does not know yet.
    looks_like = {f"{layer}.{name}".lower() for layer, name in _NAME.findall(sql)}
    names = sorted(lake.catalog.names() if _SHOW.match(sql) else looks_like.intersection(lake.catalog.names()))
    views = [lake.make_view(number, name, lake.open(name)) for number, name in enumerate(names)]
    for view in views:
        view.empty(lake.connection)
    return views


def _needed_files(
    connection: duckdb.DuckDBPyConnection, sql: str, views: Sequence[TableView]
) -> Mapping[int, Sequence[str]]:
    plan = connection.sql(f"EXPLAIN (FORMAT json) {sql}").fetchall()[0][1]
    alternatives: dict[int, list[list[Condition]]] = {}
    for number, conditions in scans(plan):
        if number is None:  # it may scan any table
            alternatives = {}
            break
        alternatives.setdefault(number, []).append(conditions)
    return {view.number: needed_files(connection, view.actions, alternatives.get(view.number, [])) for view in views}
