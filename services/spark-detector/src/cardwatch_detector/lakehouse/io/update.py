"""Changing rows that are there already."""

from collections.abc import Sequence

from cardwatch_lakehouse.tables import Table
from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame

from cardwatch_detector.lakehouse.io.conflicts import again_on_conflict
from cardwatch_detector.lakehouse.io.write import affected, once


@again_on_conflict
def update(
    rows: DataFrame,
    table: Table,
    tables_dir: str,
    same: str,
    batch_id: int,
    part: str,
    columns: Sequence[str] | None = None,
    where: str | None = None,
) -> int:
    """Give the table's rows the values of a micro-batch's, in one commit; again changes nothing.

    Args:
        same: SQL: whether two rows, ``known`` and ``new``, are one.
        part: see ``once``.
        columns: which are given; all of them if None.
        where: SQL: which rows are changed; all that there are in both if None.

    Returns:
        The number of rows; 0 if the micro-batch was written before.

    Raises:
        one of CONFLICTS: somebody else kept changing the table.
    """
    session = rows.sparkSession
    known = DeltaTable.forPath(session, table.path(tables_dir)).alias("known")
    values: dict[str, str | Column] = {name: f"new.{name}" for name in columns or table.columns}
    with once(session, table, batch_id, part):
        merged = known.merge(rows.alias("new"), same).whenMatchedUpdate(where, values).execute()
        return affected(merged, "num_affected_rows")
