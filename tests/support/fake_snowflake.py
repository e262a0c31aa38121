"""Snowflake, faked by fakesnow, which runs Snowflake's SQL on DuckDB in this process.

The statements of the loader that fakesnow cannot run are handled here only; the loader does not know of it:

- ``REMOVE`` (taking files out of a stage): not run at all.
- ``NUMBER(38,0)`` is a 64-bit integer to it: larger numbers are tested as far as the files that are loaded.
- A MERGE within a transaction: it notes a comment on a table of its own in another database, which DuckDB refuses
  within the transaction. The note is left out.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from cardwatch_lakehouse.tables import Table
from sqlglot import exp


def _import_fakesnow() -> Any:
    import fakesnow.cursor
    import fakesnow.info_schema
    import fakesnow.instance

    comment_sql = fakesnow.info_schema.insert_table_comment_sql

    def without_own_note(catalog: str, schema: str, table: str, comment: str) -> str:
        return "SELECT 1" if table.upper() == "MERGE_CANDIDATES" else comment_sql(catalog, schema, table, comment)

    fakesnow.info_schema.insert_table_comment_sql = without_own_note
    _translate_once(fakesnow.cursor.FakeSnowflakeCursor)
    return fakesnow.instance


def _translate_once(cursor: Any) -> None:
    """Cache fakesnow's translations of statements, which take most of its time.

    Statements whose translation depends on existing tables or on parameters are translated each time.
    """
    translate = cursor._transform
    translated: dict[tuple[str, str, str], exp.Expression] = {}

    def transform(self: Any, statement: exp.Expression, params: Any) -> exp.Expression:
        new_table = isinstance(statement, exp.Create) and statement.kind == "TABLE" and statement.expression is None
        if not (new_table or isinstance(statement, exp.Select | exp.Insert | exp.Update | exp.Delete)):
            directly: exp.Expression = translate(self, statement, params)
            return directly
        key = (self._conn.database, self._conn.schema, statement.sql())
        if key not in translated:
            translated[key] = translate(self, statement, params)
        return translated[key].copy()

    cursor._transform = transform


fakesnow_instance: Final = _import_fakesnow()


class KilledError(BaseException):
    """The process ends here: no handler of the product may run after it."""


@dataclass
class FakeSnowflake:
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
        """The rows of a target table, comparable to ``Lake.rows``."""
        names = [column.upper() for column in table.columns]
        listed = ", ".join(f'"{name}"' for name in names)
        nested = {name.upper() for name, kind in table.columns.items() if kind.startswith(("ARRAY", "STRUCT"))}
        rows = self.look(f'SELECT {listed} FROM "{table.name.split(".")[1].upper()}"')
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return sort_rows(
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
    def __init__(self, account: FakeSnowflake, real: Any) -> None:
        self._account = account
        self._real = real

    def cursor(self) -> "_Cursor":
        return _Cursor(self._account, self._real.cursor())

    def close(self) -> None:
        self._real.close()


class _Cursor:
    def __init__(self, account: FakeSnowflake, real: Any) -> None:
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


def sort_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows in an order that does not depend on where they come from; decimals as integers."""
    whole = ({name: int(value) if isinstance(value, Decimal) else value for name, value in row.items()} for row in rows)
    return sorted(whole, key=repr)
