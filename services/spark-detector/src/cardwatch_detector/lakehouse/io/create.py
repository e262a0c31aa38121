"""Creates the tables before anything is written to them."""

from collections.abc import Iterable

from cardwatch_lakehouse.tables import ALL_TABLES, Table
from cardwatch_service.logs import get_logger
from delta.tables import DeltaTable, DeltaTableBuilder
from pyspark.sql import SparkSession

_log = get_logger(__name__)


def create_tables(session: SparkSession, tables_dir: str, tables: Iterable[Table] = ALL_TABLES) -> None:
    """Create missing tables, empty, and add the columns that tables of an older version lack."""
    for table in tables:
        path = table.path(tables_dir)
        if DeltaTable.isDeltaTable(session, path):
            _add_columns(session, table, path)
        else:
            _builder(session, table, path).execute()
            _log.info("table created", table=table.name, path=path)


def _builder(session: SparkSession, table: Table, path: str) -> DeltaTableBuilder:
    builder = DeltaTable.createIfNotExists(session).location(path)
    for name, column_type in table.columns.items():
        builder = builder.addColumn(name, column_type)
    for name, value in table.properties.items():
        builder = builder.property(name, value)
    return builder.partitionedBy(*table.partitioned_by) if table.partitioned_by else builder


def _add_columns(session: SparkSession, table: Table, path: str) -> None:
    there = set(DeltaTable.forPath(session, path).toDF().columns)
    missing = [f"`{name}` {column_type}" for name, column_type in table.columns.items() if name not in there]
    if missing:
        session.sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS ({', '.join(missing)})")
        _log.info("columns added", table=table.name, columns=missing)
