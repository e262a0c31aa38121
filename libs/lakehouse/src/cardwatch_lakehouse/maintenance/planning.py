"""Which partitions of a table have to be written anew, and how. Pure: of the log's figures alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from cardwatch_lakehouse.layout import Layout
from cardwatch_lakehouse.maintenance.files import LiveFile, Partition

MOST_FILES: Final = 50
"""Live files of a partition, after upkeep, at most."""

# Files grow with their partition: 20 full ones, or twice as many half full, leave room for what comes late.
_FULL_FILES: Final = 20
_SMALLEST_TARGET: Final = 128 << 20
# Fewer small files than this in a partition that is being written are left for the next time.
_WORTH_JOINING: Final = 16
# What came late into a partition in order may be so much of it; more, and it is put in order again.
_OUT_OF_ORDER: Final = 0.1


class Action(StrEnum):
    """How a partition is written anew."""

    JOIN = "join"  # small files become large ones, rows stay in the order in which they came
    ORDER = "order"  # all rows in the order of the layout


@dataclass(frozen=True, slots=True)
class Task:
    """One partition to be written anew.

    Attributes:
        target_size: of its files, bytes.
    """

    partition: Partition
    action: Action
    target_size: int


def plan(
    found: Iterable[Partition],
    layout: Layout,
    now: datetime,
    settled_after: timedelta,
    in_order: Callable[[LiveFile], bool],
) -> Iterator[Task]:
    """The partitions that are worth it.

    Args:
        settled_after: a partition is settled when nothing was written to it for so long; only then it is put in order.
        in_order: whether the rows of a file are in the order of the layout; asked of few files.
    """
    for partition in found:
        target = target_size(partition.size)
        settled = now - partition.written >= settled_after and not is_of_today(partition, now)
        if layout.order and settled:
            if len(partition.files) > MOST_FILES or not _is_ordered(partition, in_order):
                yield Task(partition, Action.ORDER, target)
        elif layout.order and _mostly_ordered(partition):
            # Joined with what came late, files in order would no longer be: they wait until the partition is settled.
            if len(partition.files) > MOST_FILES:
                yield Task(partition, Action.ORDER, target)
        elif sum(file.size < target // 2 for file in partition.files) >= (2 if settled else _WORTH_JOINING):
            yield Task(partition, Action.JOIN, target)


def target_size(size: int) -> int:
    """How large the files of a partition of some size shall be, bytes."""
    return max(_SMALLEST_TARGET, size // _FULL_FILES)


def is_of_today(partition: Partition, now: datetime) -> bool:
    """Whether the partition is a day that has not ended, UTC; a partition that is no day never is."""
    today = now.astimezone(UTC).date()
    return any(str(value) >= today.isoformat() for value in partition.values.values())


def _is_ordered(partition: Partition, in_order: Callable[[LiveFile], bool]) -> bool:
    if any(file.low is None or file.high is None for file in partition.files):
        return True  # the log cannot say; writing it anew each time would not change that
    apart, others = apart_and_others(partition.files)
    if sum(file.size for file in others) > _OUT_OF_ORDER * partition.size:
        return False
    if _too_many(apart, partition):
        return False
    # Several files that hold different ranges are otherwise only made by putting rows in order. One file says nothing.
    return len(apart) > 1 or in_order(apart[0])


def _mostly_ordered(partition: Partition) -> bool:
    if any(file.low is None or file.high is None for file in partition.files):
        return False
    apart, others = apart_and_others(partition.files)
    in_order = len(apart) > 1 and not _too_many(apart, partition)
    return in_order and sum(file.size for file in others) <= _OUT_OF_ORDER * partition.size


def _too_many(apart: Sequence[LiveFile], partition: Partition) -> bool:
    """Whether they are small files that happen to hold different ranges, and not made by putting rows in order."""
    return len(apart) > 2 * -(-partition.size // target_size(partition.size))


def apart_and_others(files: Sequence[LiveFile]) -> tuple[list[LiveFile], list[LiveFile]]:
    """The large files whose ranges do not overlap, and those that lie across them."""
    apart: list[LiveFile] = []
    others: list[LiveFile] = []
    for file in sorted(files, key=lambda file: file.size, reverse=True):
        # One value may end one file and begin the next.
        clear = all(file.high <= other.low or file.low >= other.high for other in apart)
        (apart if clear else others).append(file)
    return apart, others
