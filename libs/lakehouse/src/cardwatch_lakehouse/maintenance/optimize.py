"""Rewrites partitions into fewer files or sorted ones; the rows of the table stay the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pyarrow.parquet as pq
from deltalake import BloomFilterProperties, ColumnProperties, DeltaTable, WriterProperties

from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.internals import storage_of
from cardwatch_lakehouse.layout import Layout, layout_of
from cardwatch_lakehouse.maintenance.conflict_retry import retry_maintenance_on_conflict
from cardwatch_lakehouse.maintenance.files import LiveFile, partitions
from cardwatch_lakehouse.maintenance.planning import Action, Task, plan

SETTLED_AFTER: Final = timedelta(hours=2)

# A query for one card reads one row group of a file: small enough to be read at once, large enough to compress.
_ROWS_PER_GROUP: Final = 100_000
# The share of row groups without a card that are read for it nevertheless. The filter takes 128 KB, the tokens of as
# many rows some megabytes.
_FALSE_POSITIVE_RATE: Final = 0.01
# Memory for sorting before it spills to disk; enough for a day of any size.
_SORT_MEMORY_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class OptimizedPartition:
    """A partition that was rewritten.

    Attributes:
        before, after: number of live files.
    """

    table: str
    partition: str
    action: Action
    before: int
    after: int


def ordered_writer() -> WriterProperties:
    """Settings for writing sorted files."""
    return WriterProperties(compression="ZSTD", max_row_group_size=_ROWS_PER_GROUP)


def joined_writer(layout: Layout) -> WriterProperties:
    """Settings for writing merged files that are not sorted.

    Until a partition is sorted, a value may be in any row group: a Bloom filter of the column excludes most groups
    (Parquet's split block Bloom filter, which DuckDB uses).
    """
    if not layout.order:
        return WriterProperties(compression="ZSTD")
    unordered = BloomFilterProperties(True, fpp=_FALSE_POSITIVE_RATE, ndv=_ROWS_PER_GROUP)
    return WriterProperties(
        compression="ZSTD",
        max_row_group_size=_ROWS_PER_GROUP,
        column_properties={layout.order[0]: ColumnProperties(bloom_filter_properties=unordered)},
    )


def tasks(catalog: Catalog, name: str, now: datetime, settled_after: timedelta = SETTLED_AFTER) -> list[Task]:
    """The partitions of a table that have to be rewritten.

    Raises:
        ConfigurationError: there is no such table.
    """
    layout = layout_of(name)
    column = next(iter(layout.order), "")
    table = catalog.open(name)

    def in_order(file: LiveFile) -> bool:
        return _in_order(table, file, column)

    return list(plan(partitions(table, column), layout, now=now, settled_after=settled_after, in_order=in_order))


def optimize(
    catalog: Catalog,
    name: str,
    settled_after: timedelta = SETTLED_AFTER,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[OptimizedPartition]:
    """Rewrite the partitions of a table that need it, each in its own commit.

    Writers may append meanwhile. If one changes the same files, the partition is rewritten again.

    Args:
        stopped: called before each partition; if true, the rest is left for the next run.

    Raises:
        ConfigurationError: there is no such table.
        deltalake.exceptions.DeltaError: the table cannot be written.
    """
    for task in tasks(catalog, name, datetime.now(UTC), settled_after):
        if stopped():
            return
        done = retry_maintenance_on_conflict(lambda task=task: _write(catalog.open(name), name, task))  # type: ignore[misc]
        left = len(task.partition.files) - done["numFilesRemoved"] + done["numFilesAdded"]
        yield OptimizedPartition(name, str(task.partition), task.action, len(task.partition.files), left)


def _write(table: DeltaTable, name: str, task: Task) -> dict[str, Any]:
    common: dict[str, Any] = {
        "partition_filters": [(column, "=", value) for column, value in task.partition.values.items()] or None,
        "target_size": task.target_size,
        "max_concurrent_tasks": 1,  # leaves the other cores to the queries
        "max_spill_size": _SORT_MEMORY_BYTES,
    }
    layout = layout_of(name)
    if task.action is Action.ORDER:
        return table.optimize.z_order(list(layout.order), writer_properties=ordered_writer(), **common)
    return table.optimize.compact(writer_properties=joined_writer(layout), **common)


def _in_order(table: DeltaTable, file: LiveFile, column: str) -> bool:
    """Whether the row groups of a file have consecutive ranges of the column, by the file's footer."""
    with storage_of(table).open_input_file(file.path) as source:
        metadata = pq.ParquetFile(source).metadata
    at = next(at for at in range(metadata.num_columns) if metadata.schema.column(at).path == column)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if any(group.num_rows > 2 * _ROWS_PER_GROUP for group in groups):
        return False
    ranges: list[Any] = [group.column(at).statistics for group in groups]
    if any(one is None or not one.has_min_max for one in ranges):
        return False
    return all(one.max <= following.min for one, following in pairwise(ranges))
