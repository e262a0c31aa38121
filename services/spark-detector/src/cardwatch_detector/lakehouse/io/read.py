"""Reading the tables."""

from cardwatch_lakehouse.tables import Table
from pyspark.sql import DataFrame, SparkSession


def held(session: SparkSession, tables_dir: str, table: Table) -> DataFrame:
    """What a table holds now."""
    return session.read.format("delta").load(table.path(tables_dir))
