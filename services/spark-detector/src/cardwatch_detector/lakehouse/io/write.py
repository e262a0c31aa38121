"""How micro-batches get into the tables: each once, however often it is tried.

Delta remembers for each table the last transaction version of each application id, in the same commit as the rows, and
skips a write whose version it has seen. Here the application is a query and the version its micro-batch
(docs/decisions/0009-idempotent-delta-writes.md).
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from cardwatch_lakehouse.tables import Table
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession

# At least, where there are that many: about ten megabytes, a second's work of one task.
_ROWS_A_FILE: Final = 100_000

# What MERGE, UPDATE and DELETE have instead of the options of a DataFrame's writer.
_SESSION_APP_ID: Final = "spark.databricks.delta.write.txnAppId"
_SESSION_VERSION: Final = "spark.databricks.delta.write.txnVersion"


@contextmanager
def cached(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame that is gone through more than once, for the length of a ``with``."""
    kept = frame.persist()
    try:
        yield kept
    finally:
        kept.unpersist()


def coalesce_to_few_files(rows: DataFrame, number: int) -> DataFrame:
    """So many rows in no more partitions, hence files, than it takes to write them soon."""
    return rows.coalesce(math.ceil(number / _ROWS_A_FILE))


def append(rows: DataFrame, table: Table, tables_dir: str, batch_id: int, part: str = "") -> None:
    """Append a micro-batch's rows once, however often it is tried.

    Args:
        part: see ``idempotent_write``.
    """
    identity = _identity(rows.sparkSession, table, batch_id, part)
    rows.write.format("delta").mode("append").options(**identity).save(table.path(tables_dir))


@contextmanager
def idempotent_write(session: SparkSession, table: Table, batch_id: int, part: str = "") -> Iterator[None]:
    """For the length of a ``with``: MERGE, UPDATE or DELETE on a table takes effect once for a micro-batch.

    When a micro-batch is repeated, Delta skips the command, which then reports nothing (``count_affected`` returns 0).
    A command that changes no row commits all the same, so that it too is known the next time. Run one command in the
    ``with``: a second one with the same identity would be taken for the first and skipped. ``append`` and
    ``replace_rows`` do not need it.

    Only what a micro-batch gives the same rows for whenever it is done may be written so. If a repeated one may have to
    write something else (because it depends on a clock, or on what a table holds by now), ``part`` must tell the two
    apart, or the second would be lost.

    Args:
        session: the micro-batch's (``batch.sparkSession``): each query has a clone of its own, so that others see
            nothing of what is set here.
        batch_id: the micro-batch's number.
        part: tells apart what one micro-batch writes to one table in several commits. Delta keeps each application id
            for ever: there may be few of them.

    Raises:
        RuntimeError: outside a streaming query.
    """
    identity = _identity(session, table, batch_id, part)
    session.conf.set(_SESSION_APP_ID, identity["txnAppId"])
    session.conf.set(_SESSION_VERSION, identity["txnVersion"])
    try:
        yield
    finally:
        # Left in place, the next command of the session would be taken for this one.
        session.conf.unset(_SESSION_APP_ID)
        session.conf.unset(_SESSION_VERSION)


def replace_rows(
    rows: DataFrame, table: Table, tables_dir: str, these: str, batch_id: int | None = None, part: str = ""
) -> int:
    """Put rows in the place of all of `these` (SQL over partition columns), in one commit.

    Again changes nothing, if the rows are made anew of all that they depend on.

    Args:
        batch_id: the micro-batch that asks for it, which is done once; None outside of a streaming query: always done.
        part: see ``idempotent_write``; it must tell apart what `these` may be when the micro-batch is repeated.

    Returns:
        The number of rows; 0 where the micro-batch was written before, or somebody else has committed since.
    """
    session, path = rows.sparkSession, table.path(tables_dir)
    identity = {} if batch_id is None else _identity(session, table, batch_id, part)
    mark = uuid4().hex  # by which this commit is told from one that was there, and from somebody else's
    write = rows.write.format("delta").mode("overwrite").option("replaceWhere", these)
    write.options(**identity, userMetadata=mark).save(path)
    last = DeltaTable.forPath(session, path).history(1).select("userMetadata", "operationMetrics")
    ((whose, metrics),) = last.collect()
    return int(metrics.get("numOutputRows", 0)) if whose == mark else 0


def count_affected(merged: DataFrame, what: str) -> int:
    """What a MERGE reports that it did: ``what`` is ``num_inserted_rows`` or ``num_affected_rows``; 0 if skipped."""
    return sum(int(metrics[what]) for metrics in merged.collect())


def query_id(session: SparkSession) -> str:
    """The id that the query has from its checkpoint; of the session of its micro-batch.

    Micro-batches of another checkpoint are numbered from 0 again: under the same id Delta would take them for seen.

    Raises:
        RuntimeError: outside a streaming query.
    """
    found = session.sparkContext.getLocalProperty("sql.streaming.queryId")
    if not found:
        raise RuntimeError("a micro-batch is written outside its streaming query")
    return str(found)


def _identity(session: SparkSession, table: Table, batch_id: int, part: str) -> Mapping[str, str]:
    names = (table.name, query_id(session), *([part] if part else []))
    return {"txnAppId": "/".join(names), "txnVersion": str(batch_id)}
