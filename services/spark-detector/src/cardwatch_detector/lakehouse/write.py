"""How micro-batches get into the tables."""

from collections.abc import Iterator
from contextlib import contextmanager

from cardwatch_lakehouse.tables import Table
from delta.tables import DeltaTable
from pyspark.sql import DataFrame


@contextmanager
def cached(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame that is gone through more than once, for the length of a ``with``."""
    kept = frame.persist()
    try:
        yield kept
    finally:
        kept.unpersist()


def append(rows: DataFrame, table: Table, tables_dir: str, batch_id: int) -> None:
    """Append a micro-batch's rows once, however often it is tried.

    Delta remembers the last transaction version of each application id, and skips a version that it has seen.
    """
    (
        rows.write.format("delta")
        .mode("append")
        .option("txnAppId", f"{table.name}/{query_id(rows)}")
        .option("txnVersion", batch_id)
        .save(table.path(tables_dir))
    )


def replace(rows: DataFrame, table: Table, tables_dir: str, these: str) -> int:
    """Put rows in the place of all of `these` (SQL over partition columns), in one commit; returns how many.

    Again changes nothing, if the rows are made anew of all that they depend on.
    """
    path = table.path(tables_dir)
    rows.write.format("delta").mode("overwrite").option("replaceWhere", these).save(path)
    (commit,) = DeltaTable.forPath(rows.sparkSession, path).history(1).select("operationMetrics").collect()
    return int(commit["operationMetrics"].get("numOutputRows", 0))


def affected(merged: DataFrame, what: str) -> int:
    """What a MERGE reports that it did: ``what`` is ``num_inserted_rows`` or ``num_affected_rows``."""
    (metrics,) = merged.collect()
    return int(metrics[what])


def query_id(batch: DataFrame) -> str:
    """The id that the query has from its checkpoint.

    Micro-batches of another checkpoint are numbered from 0 again: under the same id Delta would take them for seen.
    """
    found = batch.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
    if not found:
        raise RuntimeError("a micro-batch is written outside its streaming query")
    return str(found)
