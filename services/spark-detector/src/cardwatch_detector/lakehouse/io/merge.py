"""Changes rows of a table, and repeats a command when another writer's commit came first."""

from collections.abc import Sequence
from typing import Final

from cardwatch_lakehouse.tables import Table
from cardwatch_service.retry_pauses import TABLE_CONFLICT
from delta import exceptions
from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, count_affected, idempotent_command

CONFLICTS: Final = (
    exceptions.ConcurrentAppendException,
    exceptions.ConcurrentDeleteDeleteException,
    exceptions.ConcurrentDeleteReadException,
    exceptions.ConcurrentTransactionException,
    exceptions.ConcurrentWriteException,
    # In Java the others are of this kind; in Python they are not.
    exceptions.DeltaConcurrentModificationException,
    exceptions.MetadataChangedException,
    exceptions.ProtocolChangedException,
)
"""Another writer's commit came first: done again from the table's new version, the command may succeed."""

retry_command_on_conflict: Final = retry(
    # Maintenance compacted files, or a card was erased: what was read may have changed, so the command is done again.
    retry=retry_if_exception_type(CONFLICTS),
    wait=TABLE_CONFLICT,
    stop=stop_after_attempt(5),
    reraise=True,
)
"""Decorates a function that reads a table's current version and runs one command on it."""


@retry_command_on_conflict
def update_rows(
    rows: DataFrame,
    table: Table,
    tables_dir: str,
    write_id: WriteId,
    *,
    match: str,
    columns: Sequence[str] | None = None,
    condition: str | None = None,
) -> int:
    """Update rows of a table from the rows of a micro-batch, in one commit. The operation is idempotent.

    Args:
        match: SQL that is true if the rows ``known`` (of the table) and ``new`` are about the same thing.
        columns: the columns that are set; all of them if None.
        condition: SQL over ``known`` and ``new`` that selects the rows to change; all that match if None.

    Returns:
        The number of rows; 0 if the micro-batch was written before.

    Raises:
        one of CONFLICTS: other writers kept changing the table.
    """
    session = rows.sparkSession
    known = DeltaTable.forPath(session, table.path(tables_dir)).alias("known")
    values: dict[str, str | Column] = {name: f"new.{name}" for name in columns or table.columns}
    with idempotent_command(session, table, write_id):
        merged = known.merge(rows.alias("new"), match).whenMatchedUpdate(condition, values).execute()
        return count_affected(merged, "num_affected_rows")
