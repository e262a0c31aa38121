"""Delta tables made without Spark, and fakesnow as Snowflake.

fakesnow runs Snowflake's SQL on DuckDB, in this process. What of the product's statements it cannot run is named here,
and nowhere else; nothing in the product knows of it:

- ``REMOVE`` (taking files out of a stage): not run at all.
- ``NUMBER(38,0)`` is a 64-bit integer to it: larger numbers are tested as far as the files that travel.
- A MERGE within a transaction: it notes a comment on a table of its own in another database, which DuckDB refuses
  within the transaction. The note is left out.
"""

import json
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_lakehouse.tables import Table
from cardwatch_service.metrics import Metrics
from cardwatch_service.shutdown import Shutdown
from cardwatch_snowflake.bootstrap import make_service
from cardwatch_snowflake.metrics import LoaderMetrics
from cardwatch_snowflake.service import LoaderService
from cardwatch_snowflake.settings import LoaderSettings
from cardwatch_snowflake.snowflake_warehouse import SnowflakeWarehouse
from deltalake import DeltaTable, write_deltalake
from sqlglot import exp


def _import_fakesnow() -> Any:
    import fakesnow.cursor
    import fakesnow.info_schema
    import fakesnow.instance

    comment_sql = fakesnow.info_schema.insert_table_comment_sql

    def without_its_own(catalog: str, schema: str, table: str, comment: str) -> str:
        return "SELECT 1" if table.upper() == "MERGE_CANDIDATES" else comment_sql(catalog, schema, table, comment)

    fakesnow.info_schema.insert_table_comment_sql = without_its_own
    _translate_once(fakesnow.cursor.FakeSnowflakeCursor)
    return fakesnow.instance


def _translate_once(cursor: Any) -> None:
    """Remember into what fakesnow translates statements: most of its time goes into that.

    Those whose translation depends on what there is, or on their parameters, it translates anew each time.
    """
    translate = cursor._transform
    translated: dict[tuple[str, str, str], exp.Expression] = {}

    def transform(self: Any, statement: exp.Expression, params: Any) -> exp.Expression:
        new_table = isinstance(statement, exp.Create) and statement.kind == "TABLE" and statement.expression is None
        if not (new_table or isinstance(statement, exp.Select | exp.Insert | exp.Update | exp.Delete)):
            return translate(self, statement, params)
        key = (self._conn.database, self._conn.schema, statement.sql())
        if key not in translated:
            translated[key] = translate(self, statement, params)
        return translated[key].copy()

    cursor._transform = transform


fakesnow_instance = _import_fakesnow()


class KilledError(BaseException):
    """The process ends here: no handler of the product may run after it."""


@dataclass
class Snowflake:
    """An account with one schema, and what was sent to it.

    Attributes:
        statements: in order, as sent.
        before: called with each statement before it runs; may raise.
        after: called with each statement after it ran; may raise.
    """

    instance: Any = field(default_factory=lambda: fakesnow_instance.FakeSnow(nop_regexes=[r"REMOVE "]))
    statements: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    after: Callable[[str], None] = lambda _: None

    def connect(self) -> "_Connection":
        return _Connection(self, self.instance.connect(database="CARDWATCH", schema="GOLD", paramstyle="qmark"))

    def look(self, statement: str) -> list[Any]:
        """Ask fakesnow's DuckDB itself, which takes a tenth of the time."""
        with self.instance.duck_conn.cursor() as duckdb:
            duckdb.execute("SET schema = 'CARDWATCH.GOLD'").fetchall()
            rows: list[Any] = duckdb.execute(statement).fetchall()
            return rows

    def query(self, statement: str) -> list[Any]:
        connection = self.instance.connect(database="CARDWATCH", schema="GOLD")
        try:
            rows: list[Any] = connection.cursor().execute(statement).fetchall()
            return rows
        finally:
            connection.close()

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """What a target table holds, comparable to ``Lake.rows``."""
        names = [column.upper() for column in table.columns]
        listed = ", ".join(f'"{name}"' for name in names)
        nested = {name.upper() for name, kind in table.columns.items() if kind.startswith(("ARRAY", "STRUCT"))}
        rows = self.look(f'SELECT {listed} FROM "{table.name.split(".")[1].upper()}"')
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return _sorted(
            {
                name: json.loads(value) if name in nested and isinstance(value, str) else value
                for name, value in row.items()
            }
            for row in found
        )

    def tables(self) -> set[str]:
        return {name for (name,) in self.look("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'GOLD'")}

    def recorded(self, table: Table) -> dict[str, Any]:
        names = ("DELTA_TABLE_ID", "DELTA_VERSION", "DELTA_COMMITTED_AT", "ROWS_UPSERTED", "ROWS_DELETED",
                 "LOADED_AT", "SNAPSHOT_TABLE_ID", "SNAPSHOT_VERSION", "SNAPSHOT_FILES", "SNAPSHOT_ROWS")  # fmt: skip
        (row,) = self.look(f"SELECT {', '.join(names)} FROM CARDWATCH_LOADS WHERE TABLE_NAME = '{table.name}'")
        return dict(zip(names, row, strict=True))


class _Connection:
    def __init__(self, account: Snowflake, real: Any) -> None:
        self._account = account
        self._real = real

    def cursor(self) -> "_Cursor":
        return _Cursor(self._account, self._real.cursor())

    def close(self) -> None:
        self._real.close()


class _Cursor:
    def __init__(self, account: Snowflake, real: Any) -> None:
        self._account = account
        self._real = real

    @property
    def rowcount(self) -> int | None:
        count: int | None = self._real.rowcount
        return count

    def execute(self, command: str, params: Sequence[Any] | None = None) -> Any:
        self._account.statements.append(command)
        self._account.before(command)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._real.execute(command, params)
        self._account.after(command)

    def fetchall(self) -> list[Any]:
        rows: list[Any] = self._real.fetchall()
        return rows


class Lake:
    """Delta tables under a directory, written by delta-rs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, table: Table) -> str:
        return table.path(str(self.directory))

    def delta(self, table: Table) -> DeltaTable:
        return DeltaTable(self.path(table))

    def write(self, table: Table, rows: Sequence[dict[str, Any]], **options: Any) -> None:
        """Create a table or append to it."""
        write_deltalake(
            self.path(table),
            pa.Table.from_pylist(list(rows), arrow_schema(table)),
            partition_by=list(table.partitioned_by) or None,
            mode="append",
            **options,
        )

    def merge(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Upsert by key, as the alerts' query does."""
        same = " AND ".join(f"t.{name} = s.{name}" for name in table.key)
        merger = self.delta(table).merge(
            pa.Table.from_pylist(list(rows), arrow_schema(table)), same, source_alias="s", target_alias="t"
        )
        merger.when_matched_update_all().when_not_matched_insert_all().execute()

    def replace(self, table: Table, rows: Sequence[dict[str, Any]], predicate: str) -> None:
        """Overwrite a part, as the profiles' query does with whole days."""
        data = pa.Table.from_pylist(list(rows), arrow_schema(table))
        write_deltalake(self.path(table), data, mode="overwrite", predicate=predicate)

    def vacuum(self, table: Table) -> None:
        """Remove every file that the newest version does not need."""
        self.delta(table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)

    def rows(self, table: Table, version: int | None = None) -> list[dict[str, Any]]:
        """What a table holds, in Snowflake's words: upper-case names, times without a zone."""
        return _sorted(
            {
                name.upper(): value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value
                for name, value in row.items()
            }
            for row in DeltaTable(self.path(table), version=version).to_pyarrow_table().to_pylist()
        )


def arrow_schema(table: Table) -> pa.Schema:
    """The Arrow schema of a table that is defined in the words of Spark's SQL."""
    return pa.schema([(name, _arrow_type(kind)) for name, kind in table.columns.items()])


def _arrow_type(kind: str) -> pa.DataType:
    simple = {
        "STRING": pa.string(), "INT": pa.int32(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(), "DATE": pa.date32(),
        "BOOLEAN": pa.bool_(), "TIMESTAMP": pa.timestamp("us", "UTC"), "BINARY": pa.binary(),
    }  # fmt: skip
    if kind in simple:
        return simple[kind]
    if kind.startswith("DECIMAL("):
        precision, scale = kind[len("DECIMAL(") : -1].split(",")
        return pa.decimal128(int(precision), int(scale))
    if kind.startswith("ARRAY<"):
        return pa.list_(_arrow_type(kind[len("ARRAY<") : -1]))
    if kind.startswith("STRUCT<"):
        fields = [part.split(":") for part in kind[len("STRUCT<") : -1].split(", ")]
        return pa.struct([(name.strip(), _arrow_type(of.strip())) for name, of in fields])
    raise ValueError(kind)


def _sorted(rows: Any) -> list[dict[str, Any]]:
    whole = ({name: int(value) if isinstance(value, Decimal) else value for name, value in row.items()} for row in rows)
    return sorted(whole, key=repr)


@dataclass
class Replication:
    """A lake, an account, and a loader between them."""

    lake: Lake
    account: Snowflake
    tables: Sequence[Table]
    work_dir: Path
    chunk_rows: int = 500_000
    metrics: Metrics = field(default_factory=Metrics)
    shutdown: Shutdown = field(default_factory=Shutdown)
    seconds: float = 0.0

    def service(self) -> tuple[LoaderService, SnowflakeWarehouse]:
        """A loader as it is after the start of a process."""
        own = LoaderSettings(tables_dir=str(self.lake.directory), chunk_rows=self.chunk_rows, work_dir=self.work_dir)
        warehouse = SnowflakeWarehouse(self.account.connect)
        warehouse.open()
        self.metrics = Metrics()
        service = make_service(
            self.tables,
            warehouse,
            own,
            LoaderMetrics(self.metrics),
            self.shutdown,
            clock=lambda: self.seconds,
            first_pause_seconds=0.0,
        )
        return service, warehouse

    def catch_up(self) -> None:
        """Start a loader, let it load what there is, and stop it."""
        service, warehouse = self.service()
        try:
            service.catch_up()
        finally:
            warehouse.disconnect()

    def killed_before(self, statement: int) -> bool:
        """Start a loader that is killed before its n-th statement; returns whether it came that far."""
        seen = 0

        def kill(_: str) -> None:
            nonlocal seen
            seen += 1
            if seen == statement:
                raise KilledError

        self.account.before = kill
        try:
            self.catch_up()
        except KilledError:
            return True
        finally:
            self.account.before = lambda _: None
        return False

    def check_equal(self) -> None:
        """Every target holds exactly what its Delta table does, and the record says so."""
        for table in self.tables:
            assert self.account.rows(table) == self.lake.rows(table), table.name
            recorded = self.account.recorded(table)
            delta = self.lake.delta(table)
            assert recorded["DELTA_TABLE_ID"] == str(delta.metadata().id)
            assert recorded["DELTA_VERSION"] == delta.version()
            assert recorded["SNAPSHOT_TABLE_ID"] is None


@pytest.fixture
def make_replication(tmp_path: Path) -> Iterator[Callable[..., Replication]]:
    accounts = []

    def make(*tables: Table, chunk_rows: int = 500_000) -> Replication:
        account = Snowflake()
        accounts.append(account)
        return Replication(Lake(tmp_path / "tables"), account, tables, tmp_path, chunk_rows)

    yield make
    for account in accounts:
        account.instance.duck_conn.close()


@pytest.fixture
def kit() -> Any:
    """What tests need of this file: they have no package to import it from."""
    return types.SimpleNamespace(
        fakesnow_instance=fakesnow_instance,
        KilledError=KilledError,
        Snowflake=Snowflake,
        Lake=Lake,
        Replication=Replication,
        arrow_schema=arrow_schema,
    )
