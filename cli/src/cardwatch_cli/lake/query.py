"""SQL over the Delta tables, by DuckDB."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.catalog import LAYERS, NOW, Catalog, Moment


@contextmanager
def connected(catalog: Catalog, moment: Moment = NOW, only: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which each table is a view of its name: ``gold.alerts``.

    Filters and columns that a query asks for reach down to the files: those that cannot hold an answer are not opened.

    Args:
        moment: as of when. A version is that of one table.
        only: the table to which ``moment.version`` belongs; the others are as they are now.
    """
    connection = duckdb.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for layer in LAYERS:
            connection.execute(f"CREATE SCHEMA {layer}")
        for name in catalog.names():
            then = moment if only in (None, name) else NOW
            dataset: Any = catalog.open(name, then).to_pyarrow_dataset()
            held = name.replace(".", "__")
            connection.register(held, dataset)
            # Names are those of directories under the layers.
            layer, table = name.split(".", 1)
            connection.execute(f'CREATE VIEW {layer}."{table}" AS SELECT * FROM "{held}"')  # noqa: S608
        yield connection
    finally:
        connection.close()


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The result of one SELECT.

    Raises:
        ConfigurationError: it is no SELECT, or DuckDB cannot answer it; says why.
    """
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
            raise ConfigurationError("one SELECT would be right: the tables are only read here")
        found: pa.Table = connection.sql(sql).to_arrow_table()
    except duckdb.Error as error:
        raise ConfigurationError(f"the query cannot be answered: {_sentence(error)}") from error
    return found


def _sentence(error: duckdb.Error) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])
