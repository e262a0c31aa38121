"""What defines a Delta table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Readers other than Spark (delta-rs, DuckDB, Polars) do not support deletion vectors.
READABLE_BY_ALL: Final = {"delta.enableDeletionVectors": "false"}
# A micro-batch writes a small file; the writer merges them once there are 50.
COMPACTED: Final = {**READABLE_BY_ALL, "delta.autoOptimize.autoCompact": "true"}
# Delta refuses to delete or change a row of such a table. Merging its files is possible: it keeps the rows.
APPEND_ONLY: Final = {**COMPACTED, "delta.appendOnly": "true"}


@dataclass(frozen=True, slots=True)
class Table:
    """One Delta table.

    Attributes:
        name: ``<layer>.<what>``; also the name of the query that writes it and of its checkpoint.
        columns: name → type in Spark's SQL.
        partitioned_by: the partition columns.
        properties: Delta's table properties.
        key: columns whose values identify a row, none of them null; empty if rows have no identity of their own.
            Copies of a table elsewhere (Snowflake) match rows by it.
    """

    name: str
    columns: Mapping[str, str]
    partitioned_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=lambda: COMPACTED)
    key: tuple[str, ...] = ()

    def path(self, tables_dir: str) -> str:
        """The path of the table: ``<tables_dir>/<layer>/<what>``."""
        return f"{tables_dir.rstrip('/')}/{self.name.replace('.', '/')}"
