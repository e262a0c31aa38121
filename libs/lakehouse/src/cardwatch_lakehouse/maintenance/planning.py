"""Which partitions of a table have to be rewritten, and how. Pure: decided by the figures of the log only."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from cardwatch_lakehouse.layout import Layout
from cardwatch_lakehouse.maintenance.files import LiveFile, Partition

MAX_FILES_PER_PARTITION: Final = 50
"""The most live files of a partition after optimize."""

# Files grow with their partition: 20 full files, or 40 half-full ones, leave room for late rows.
_FULL_FILES_PER_PARTITION: Final = 20
_MIN_TARGET_BYTES: Final = 128 << 20
# Fewer small files in a partition that is being written are left for the next run.
_MIN_FILES_TO_JOIN: Final = 16
# The share of a sorted partition that late rows may have before it is sorted again.
_MAX_UNSORTED_SHARE: Final = 0.1


class Action(StrEnum):
    """How a partition is rewritten."""

    JOIN = "join"  # small files are merged into large ones, rows keep the order of arrival
    ORDER = "order"  # all rows are sorted by the layout


@dataclass(frozen=True, slots=True)
class Task:
    """One partition to be rewritten.

    Attributes:
        target_size: size of its files, bytes.
    """

    partition: Partition
    action: Action
    target_size: int


def plan(
    found: Iterable[Partition],
    layout: Layout,
    *,
    now: datetime,
    settled_after: timedelta,
    in_order: Callable[[LiveFile], bool],
) -> Iterator[Task]:
    """The partitions that are worth rewriting.

    Args:
        settled_after: a partition is settled when nothing was written to it for this long; only then it is sorted.
        in_order: whether the rows of a file are sorted by the layout; called for few files.
    """
    for partition in found:
        target = target_size(partition.size)
        settled = now - partition.written >= settled_after and not is_of_today(partition, now)
        if layout.order and settled:
            if len(partition.files) > MAX_FILES_PER_PARTITION or not _is_ordered(partition, in_order):
                yield Task(partition, Action.ORDER, target)
        elif layout.order and _mostly_ordered(partition):
            # Merged with late rows, sorted files would no longer be sorted: they wait until the partition is settled.
            if len(partition.files) > MAX_FILES_PER_PARTITION:
                yield Task(partition, Action.ORDER, target)
        elif sum(file.size < target // 2 for file in partition.files) >= (2 if settled else _MIN_FILES_TO_JOIN):
            yield Task(partition, Action.JOIN, target)


def target_size(size: int) -> int:
    """The target size of files in a partition of some size, bytes."""
    return max(_MIN_TARGET_BYTES, size // _FULL_FILES_PER_PARTITION)


def is_of_today(partition: Partition, now: datetime) -> bool:
    """Whether the partition is a UTC day that has not ended; false for partitions that are not days."""
    today = now.astimezone(UTC).date()
    return any(str(value) >= today.isoformat() for value in partition.values.values())


def _is_ordered(partition: Partition, in_order: Callable[[LiveFile], bool]) -> bool:
    if any(file.low is None or file.high is None for file in partition.files):
        return True  # unknown from the log; rewriting it would not change that
    apart, others = apart_and_others(partition.files)
    if sum(file.size for file in others) > _MAX_UNSORTED_SHARE * partition.size:
        return False
    if _too_many(apart, partition):
        return False
    # Several files with different ranges result from sorting only. One file proves nothing.
    return len(apart) > 1 or in_order(apart[0])


def _mostly_ordered(partition: Partition) -> bool:
    if any(file.low is None or file.high is None for file in partition.files):
        return False
    apart, others = apart_and_others(partition.files)
    in_order = len(apart) > 1 and not _too_many(apart, partition)
    return in_order and sum(file.size for file in others) <= _MAX_UNSORTED_SHARE * partition.size


def _too_many(apart: Sequence[LiveFile], partition: Partition) -> bool:
    """Whether these are small files that happen to have different ranges, and not the result of sorting."""
    return len(apart) > 2 * -(-partition.size // target_size(partition.size))


def apart_and_others(files: Sequence[LiveFile]) -> tuple[list[LiveFile], list[LiveFile]]:
    """The large files whose ranges do not overlap, and the files that overlap with them."""
    apart: list[LiveFile] = []
    others: list[LiveFile] = []
    for file in sorted(files, key=lambda file: file.size, reverse=True):
        # One value may end one file and begin the next.
        clear = all(file.high <= other.low or file.low >= other.high for other in apart)
        (apart if clear else others).append(file)
    return apart, others
