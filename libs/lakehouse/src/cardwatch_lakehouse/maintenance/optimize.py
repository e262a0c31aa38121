"""Writing partitions anew, in fewer files or in order; what the table holds stays the same."""

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
from cardwatch_lakehouse.maintenance.commit_retry import retried
from cardwatch_lakehouse.maintenance.files import LiveFile, partitions
from cardwatch_lakehouse.maintenance.planning import Action, Task, plan

SETTLED_AFTER: Final = timedelta(hours=2)

# A question for one card reads one group of rows of a file: small enough to be read at once, large enough to compress.
_ROWS_OF_A_GROUP: Final = 100_000
# How many groups that do not have a card are read for it all the same. The filter takes 128 KB, the tokens of as many
# rows some megabytes.
_READ_IN_VAIN: Final = 0.01
# What sorting may take of memory before it goes to disk; a day of any size is sorted with that.
_SORT_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Optimized:
    """What was done to a partition.

    Attributes:
        before, after: live files.
    """

    table: str
    partition: str
    action: Action
    before: int
    after: int


def ordered_writer() -> WriterProperties:
    """How the files of rows in order are written."""
    return WriterProperties(compression="ZSTD", max_row_group_size=_ROWS_OF_A_GROUP)


def joined_writer(layout: Layout) -> WriterProperties:
    """How the files of rows in the order in which they came are written.

    Where there will be an order, any value may be in any group of rows until then: a Bloom filter of the column tells
    for most groups that a value is not there (Parquet's split block Bloom filter, which DuckDB looks into).
    """
    if not layout.order:
        return WriterProperties(compression="ZSTD")
    unordered = BloomFilterProperties(True, fpp=_READ_IN_VAIN, ndv=_ROWS_OF_A_GROUP)
    return WriterProperties(
        compression="ZSTD",
        max_row_group_size=_ROWS_OF_A_GROUP,
        column_properties={layout.order[0]: ColumnProperties(bloom_filter_properties=unordered)},
    )


def tasks(catalog: Catalog, name: str, now: datetime, settled_after: timedelta = SETTLED_AFTER) -> list[Task]:
    """What there is to do in a table.

    Raises:
        ConfigurationError: there is no such table.
    """
    layout = layout_of(name)
    column = next(iter(layout.order), "")
    table = catalog.open(name)

    def in_order(file: LiveFile) -> bool:
        return _in_order(table, file, column)

    return list(plan(partitions(table, column), layout, now, settled_after, in_order))


def optimize(
    catalog: Catalog,
    name: str,
    settled_after: timedelta = SETTLED_AFTER,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Optimized]:
    """Write anew what there is to do in a table, a partition at a time, each in a commit of its own.

    Writers may go on: they append beside it. Where one changes the very files in between, the partition is done again.

    Args:
        stopped: asked before each partition; the rest is left for the next time.

    Raises:
        ConfigurationError: there is no such table.
        deltalake.exceptions.DeltaError: it cannot be written.
    """
    for task in tasks(catalog, name, datetime.now(UTC), settled_after):
        if stopped():
            return
        done = retried(lambda task=task: _write(catalog.open(name), name, task))  # type: ignore[misc]
        left = len(task.partition.files) - done["numFilesRemoved"] + done["numFilesAdded"]
        yield Optimized(name, str(task.partition), task.action, len(task.partition.files), left)


def _write(table: DeltaTable, name: str, task: Task) -> dict[str, Any]:
    common: dict[str, Any] = {
        "partition_filters": [(column, "=", value) for column, value in task.partition.values.items()] or None,
        "target_size": task.target_size,
        "max_concurrent_tasks": 1,  # the queries want the other cores
        "max_spill_size": _SORT_BYTES,
    }
    layout = layout_of(name)
    if task.action is Action.ORDER:
        return table.optimize.z_order(list(layout.order), writer_properties=ordered_writer(), **common)
    return table.optimize.compact(writer_properties=joined_writer(layout), **common)


def _in_order(table: DeltaTable, file: LiveFile, column: str) -> bool:
    """Whether the groups of rows of a file hold one range of the column after the other; from its footer."""
    with storage_of(table).open_input_file(file.path) as source:
        metadata = pq.ParquetFile(source).metadata
    at = next(at for at in range(metadata.num_columns) if metadata.schema.column(at).path == column)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if any(group.num_rows > 2 * _ROWS_OF_A_GROUP for group in groups):
        return False
    ranges: list[Any] = [group.column(at).statistics for group in groups]
    if any(one is None or not one.has_min_max for one in ranges):
        return False
    return all(one.max <= following.min for one, following in pairwise(ranges))
