"""Creates tables, and adds the columns that older tables lack."""

import os
from dataclasses import replace
from pathlib import Path

from cardwatch_detector.lakehouse.io.create import create_tables
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_lakehouse.tables import BRONZE_LATE
from deltalake import DeltaTable
from pyspark.sql import SparkSession


def test_a_table_of_an_older_version_gets_the_columns_that_it_lacks(spark: SparkSession, tmp_path: Path) -> None:
    # A relative directory, as by default.
    settings = LakehouseSettings(tables_dir=os.path.relpath(tmp_path / "tables"))
    fewer = dict(list(BRONZE_LATE.columns.items())[:-3])
    create_tables(spark, settings.tables_dir, [replace(BRONZE_LATE, columns=fewer)])
    create_tables(spark, settings.tables_dir, [BRONZE_LATE])
    fields = DeltaTable(BRONZE_LATE.path(str(tmp_path / "tables"))).schema().fields
    assert [field.name for field in fields] == list(BRONZE_LATE.columns)
