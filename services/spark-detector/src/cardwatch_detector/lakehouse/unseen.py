"""Rows that a table does not have yet: for tables that are appended to, and may be brought the same row again."""

from collections.abc import Sequence
from functools import reduce
from operator import and_

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention


def unseen(rows: DataFrame, table: DataFrame, identity: Sequence[str], near: str) -> DataFrame:
    """The rows whose identity the table does not have.

    Only right if nobody else adds such rows meanwhile.

    Args:
        rows: of one micro-batch, few; at least one.
        identity: the columns that tell rows apart; null is a value like any other.
        near: the one of them that grows with time, never null: Delta leaves out the files of other times.
    """
    ((first, last),) = rows.agg(F.min(near), F.max(near)).collect()
    there = table.where(F.col(near).between(first, last)).select(*identity)
    # The table's rows pass by the micro-batch's, which are few, and not the other way round.
    known = _matching(there, rows.select(*identity), identity, "left_semi").distinct()
    return _matching(rows, known, identity, "left_anti")


def _matching(rows: DataFrame, by: DataFrame, identity: Sequence[str], how: str) -> DataFrame:
    same = reduce(and_, (F.col(f"rows.{name}").eqNullSafe(F.col(f"by.{name}")) for name in identity))
    return rows.alias("rows").join(F.broadcast(by.alias("by")), same, how)
