"""Idempotent writes: each micro-batch is written to a table once, however often it is tried.

Delta remembers for each table the last transaction version of each application id, in the same commit as the rows, and
skips a write whose version it has seen. Here the application is a query and the version its micro-batch
(docs/decisions/0009-idempotent-delta-writes.md). All writes get both from ``idempotence_options``: ``append`` and
``replace_rows`` as options of the writer, MERGE, UPDATE and DELETE through ``idempotent_command``.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from cardwatch_lakehouse.tables import Table
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.runtime.internals import query_id

# The minimum of rows per file, if there are that many: about ten megabytes, a second's work of one task.
_ROWS_PER_FILE: Final = 100_000

# MERGE, UPDATE and DELETE take from the session what a DataFrame's writer takes as options.
_SESSION_APP_ID: Final = "spark.databricks.delta.write.txnAppId"
_SESSION_VERSION: Final = "spark.databricks.delta.write.txnVersion"


@dataclass(frozen=True)
class WriteId:
    """Identifies one write of one micro-batch. Delta applies each id once per table.

    Only what is the same whenever the micro-batch is repeated may be written under one id. If a repetition may have to
    write something else (because it depends on a clock, or on what a table holds by now), ``part`` must tell the two
    apart, or the second would be lost.

    Attributes:
        batch_id: the micro-batch's number.
        part: tells apart what one micro-batch writes to one table in several commits. Delta keeps each application id
            for ever, so there may only be few parts.
    """

    batch_id: int
    part: str = ""


def coalesce_to_few_files(rows: DataFrame, number: int) -> DataFrame:
    """The rows in few partitions, hence files: one per 100,000 rows."""
    return rows.coalesce(math.ceil(number / _ROWS_PER_FILE))


def idempotence_options(session: SparkSession, table: Table, write_id: WriteId) -> Mapping[str, str]:
    """The options by which Delta recognises a micro-batch's write to a table and skips its repetition.

    Raises:
        RuntimeError: outside a streaming query.
    """
    # The id includes that of the query's checkpoint: micro-batches of another checkpoint are numbered from 0 again, and
    # with the same id Delta would skip them.
    names = (table.name, query_id(session), *([write_id.part] if write_id.part else []))
    return {"txnAppId": "/".join(names), "txnVersion": str(write_id.batch_id)}


def append(rows: DataFrame, table: Table, tables_dir: str, write_id: WriteId) -> None:
    """Append a micro-batch's rows once, however often it is tried.

    Raises:
        RuntimeError: outside a streaming query.
    """
    options = idempotence_options(rows.sparkSession, table, write_id)
    rows.write.format("delta").mode("append").options(**options).save(table.path(tables_dir))


@contextmanager
def idempotent_command(session: SparkSession, table: Table, write_id: WriteId) -> Iterator[None]:
    """For the length of a ``with``: MERGE, UPDATE or DELETE on a table takes effect once for a micro-batch.

    When a micro-batch is repeated, Delta skips the command, which then reports nothing (``count_affected`` returns 0).
    A command that changes no row still commits, so that a repetition of it is skipped. Run one command in the
    ``with``: a second one with the same options would be taken for the first and skipped.

    Args:
        session: the micro-batch's (``batch.sparkSession``): each query has a clone of its own, so that others see
            nothing of what is set here.

    Raises:
        RuntimeError: outside a streaming query.
    """
    options = idempotence_options(session, table, write_id)
    session.conf.set(_SESSION_APP_ID, options["txnAppId"])
    session.conf.set(_SESSION_VERSION, options["txnVersion"])
    try:
        yield
    finally:
        # Left in place, the next command of the session would be taken for this one.
        session.conf.unset(_SESSION_APP_ID)
        session.conf.unset(_SESSION_VERSION)


def replace_rows(
    rows: DataFrame, table: Table, tables_dir: str, *, predicate: str, write_id: WriteId | None = None
) -> int:
    """Replace the rows that a predicate selects, in one commit.

    Repeating it changes nothing, if the rows are always computed from all that they depend on.

    Args:
        predicate: SQL over partition columns.
        write_id: its ``part`` must tell apart the predicates with which the micro-batch may be repeated. None outside
            of a streaming query: the write always takes effect.

    Returns:
        The number of rows; 0 where the micro-batch was written before, or somebody else has committed since.
    """
    session, path = rows.sparkSession, table.path(tables_dir)
    options = {} if write_id is None else idempotence_options(session, table, write_id)
    mark = uuid4().hex  # tells this commit from an earlier one of the same micro-batch, and from somebody else's
    write = rows.write.format("delta").mode("overwrite").option("replaceWhere", predicate)
    write.options(**options, userMetadata=mark).save(path)
    last = DeltaTable.forPath(session, path).history(1).select("userMetadata", "operationMetrics")
    ((last_mark, metrics),) = last.collect()
    return int(metrics.get("numOutputRows", 0)) if last_mark == mark else 0


def count_affected(merged: DataFrame, metric: str) -> int:
    """A MERGE's ``num_inserted_rows`` or ``num_affected_rows``, from its result; 0 if it was skipped."""
    return sum(int(metrics[metric]) for metrics in merged.collect())
