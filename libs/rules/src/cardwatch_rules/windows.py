"""Measures over exact sliding windows (t − W, t], vectorised.

Rows are sorted by (group, event time). Within a group the window of a row is one run of rows:

    time     1    3    3    6    9          W = 5, row at time 6: (1, 6]
    row      0    1    2    3    4
                  └─ first  ┘│
                             └─ after: one past the last row with the same time, so ties are all in

so every measure is a question about the rows [first, after). Counts and sums are differences of prefix sums, in
integers and therefore exact and independent of order; smallest and largest come from a sparse table (Bender &
Farach-Colton, "The LCA Problem Revisited", 2000); distinct values are the rows whose previous occurrence lies before
the window.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Rows that count_distinct looks at in one step: bounds its memory to some 100 MB.
_EXPANSION: Final = 4_000_000


class Bounds(NamedTuple):
    """For each asked row, its window's rows are ``first`` to ``after`` − 1."""

    first: Ints
    after: Ints


class Timeline:
    """Rows sorted by (group, event time), on one integer axis on which groups cannot touch."""

    def __init__(self, group: Ints, time_us: Ints, longest_window_us: int) -> None:
        """``group`` holds non-decreasing numbers from 0, ``time_us`` is non-decreasing within a group.

        Raises:
            OverflowError: groups times their time span do not fit 63 bits; evaluate fewer groups at once.
        """
        self._axis: Ints = time_us
        if len(group):
            starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
            origin = np.repeat(time_us[starts], np.diff(np.r_[starts, len(group)]))
            relative = time_us - origin
            stride = int(relative.max()) + longest_window_us + 1
            if stride * (int(group[-1]) + 1) >= 2**63:
                raise OverflowError("too many groups over too long a time for one evaluation")
            self._axis = group * np.int64(stride) + relative

    def bounds(self, rows: Ints, window_us: int) -> Bounds:
        """The windows of length ``window_us`` that end with the given rows."""
        ends = self._axis[rows]
        return Bounds(
            np.searchsorted(self._axis, ends - window_us, side="right").astype(np.int64),
            np.searchsorted(self._axis, ends, side="right").astype(np.int64),
        )


def count(bounds: Bounds, included: Bools) -> Ints:
    """How many included rows each window has."""
    return _difference(np.cumsum(included, dtype=np.int64), bounds)


def total(bounds: Bounds, included: Bools, values: Ints) -> Ints:
    """The sum over the included rows; 0 where there are none. Exact as long as it fits 63 bits."""
    return _difference(np.cumsum(np.where(included, values, 0), dtype=np.int64), bounds)


def smallest(bounds: Bounds, included: Bools, values: Ints | Floats) -> Ints | Floats:
    """The smallest included value; meaningless where a window has none."""
    worst = np.iinfo(np.int64).max if values.dtype.kind == "i" else np.inf
    return _sparse_table(bounds, np.where(included, values, worst), np.minimum)


def largest(bounds: Bounds, included: Bools, values: Ints | Floats) -> Ints | Floats:
    """The largest included value; meaningless where a window has none."""
    worst = np.iinfo(np.int64).min if values.dtype.kind == "i" else -np.inf
    return _sparse_table(bounds, np.where(included, values, worst), np.maximum)


def count_distinct(bounds: Bounds, included: Bools, codes: Ints) -> Ints:
    """How many different codes the included rows of each window have."""
    previous = _previous_occurrence(included, codes)
    lengths = bounds.after - bounds.first
    result = np.zeros(len(lengths), dtype=np.int64)
    # In steps of whole windows, so that memory stays bounded whatever the windows hold.
    cuts = np.searchsorted(np.cumsum(lengths), np.arange(_EXPANSION, int(lengths.sum()) + _EXPANSION, _EXPANSION))
    for begin, end in zip(np.r_[0, cuts + 1], np.r_[cuts + 1, len(lengths)], strict=True):
        part = slice(int(begin), min(int(end), len(lengths)))
        if part.start >= part.stop:
            continue
        length = lengths[part]
        owner = np.repeat(np.arange(len(length)), length)
        before = np.cumsum(length) - length
        row = np.arange(int(length.sum())) - before[owner] + bounds.first[part][owner]
        fresh = included[row] & (previous[row] < bounds.first[part][owner])
        result[part] = np.bincount(owner[fresh], minlength=len(length))
    return result


def _difference(prefix: Ints, bounds: Bounds) -> Ints:
    padded = np.r_[np.int64(0), prefix]
    result: Ints = padded[bounds.after] - padded[bounds.first]
    return result


def _sparse_table(bounds: Bounds, values: NDArray[np.generic], best: np.ufunc) -> Ints | Floats:
    """Level k holds the best of the 2^k rows from each row on; two overlapping spans cover any window."""
    length = bounds.after - bounds.first
    levels = [values]
    while 2 ** len(levels) <= int(length.max(initial=1)):
        half = 2 ** (len(levels) - 1)
        below = levels[-1]
        levels.append(best(below[:-half], below[half:]))
    level_of = np.frexp(length.astype(np.float64))[1] - 1
    result = np.empty(len(length), dtype=values.dtype)
    for level, table in enumerate(levels):
        at = level_of == level
        if at.any():
            result[at] = best(table[bounds.first[at]], table[bounds.after[at] - 2**level])
    return result


def _previous_occurrence(included: Bools, codes: Ints) -> Ints:
    """The last included row before each row that has the same code, −1 where there is none."""
    rows = np.flatnonzero(included)
    order = rows[np.argsort(codes[rows], kind="stable")]
    previous = np.full(len(codes), -1, dtype=np.int64)
    same = codes[order[1:]] == codes[order[:-1]]
    previous[order[1:][same]] = order[:-1][same]
    return previous
