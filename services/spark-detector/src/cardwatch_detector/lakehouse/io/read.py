"""Reads the current version of a table, and a few columns of a micro-batch or a table into the driver as Polars frames.

Which messages become rows is decided in the driver, by functions without Spark. Where a micro-batch is small, that
is a third of the work of a MERGE (docs/decisions/0022-append-instead-of-merge.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import polars as pl
from cardwatch_lakehouse.tables import Table
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

# Columns of arrivals: a message's position in its topic.
PARTITION: Final = "partition"
OFFSET: Final = "offset"

# Values that a condition lists one by one; more become a table that is joined.
MAX_INLINE_VALUES: Final = 100


@contextmanager
def cached(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame that is read more than once, for the length of a ``with``."""
    kept = frame.persist()
    try:
        yield kept
    finally:
        kept.unpersist()


def read_table(session: SparkSession, tables_dir: str, table: Table) -> DataFrame:
    """The current version of a table."""
    return session.read.format("delta").load(table.path(tables_dir))


def collect_with_position(messages: DataFrame, *columns: Column | str) -> pl.DataFrame:
    """Some columns of the messages, with each one's PARTITION and OFFSET."""
    return collect_rows(messages.select(*columns, PARTITION, OFFSET))


def collect_rows(rows: DataFrame) -> pl.DataFrame:
    """The rows as a Polars frame in the driver."""
    found = pl.from_arrow(rows.toArrow())
    assert isinstance(found, pl.DataFrame)
    return found


def broadcast_rows(rows: pl.DataFrame, session: SparkSession) -> DataFrame:
    """The rows as a Spark frame that a join broadcasts to every task."""
    return F.broadcast(session.createDataFrame(rows.to_arrow()))


def where_in(table: DataFrame, column: str, values: pl.Series) -> DataFrame:
    """The rows of a table whose column has one of the values; nulls among the values match nothing."""
    wanted = values.drop_nulls().unique()
    if len(wanted) <= MAX_INLINE_VALUES:
        return table.where(F.col(column).isin(wanted.to_list()))
    # The values are broadcast, so that the table is not shuffled.
    return table.join(broadcast_rows(wanted.to_frame(column), table.sparkSession), column, "left_semi")
