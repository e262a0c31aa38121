"""What a micro-batch brings and what a table has of it already, in the driver: a few columns, as Polars frames.

Which messages become rows is decided there, by functions that Spark has no part in. Where a micro-batch is small, that
is a third of the work of a MERGE (docs/decisions/0022-append-instead-of-merge.md).
"""

from typing import Final

import polars as pl
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

# Columns of arrivals: where the message is in its topic.
PARTITION: Final = "partition"
OFFSET: Final = "offset"

# Values that a condition names one by one; more are a table of their own, to be joined with.
_FEW: Final = 100


def arrived(messages: DataFrame, *columns: Column | str) -> pl.DataFrame:
    """Some columns of the messages, with where each is: PARTITION, OFFSET."""
    return collected(messages.select(*columns, PARTITION, OFFSET))


def collected(rows: DataFrame) -> pl.DataFrame:
    """The rows, in the driver."""
    found = pl.from_arrow(rows.toArrow())
    assert isinstance(found, pl.DataFrame)
    return found


def handed(rows: pl.DataFrame, session: SparkSession) -> DataFrame:
    """The rows as a frame that is sent to every task, to be joined with others of the session."""
    return F.broadcast(session.createDataFrame(rows.to_arrow()))


def among(table: DataFrame, column: str, values: pl.Series) -> DataFrame:
    """The rows of a table that have one of the values in a column; null is no value."""
    some = values.drop_nulls().unique()
    if len(some) <= _FEW:
        return table.where(F.col(column).isin(some.to_list()))
    # The table's rows pass by the values, and not the other way round.
    return table.join(handed(some.to_frame(column), table.sparkSession), column, "left_semi")
