"""Measures over exact sliding windows (t − W, t], vectorised.

Rows are sorted by (group, event time). Within a group the window of a row is one run of rows:

    time     1    3    3    6    9          W = 5, row at time 6: (1, 6]
    row      0    1    2    3    4
                  └─ first  ┘│
                             └─ after: one past the last row with the same time, so ties are all in

so every measure is a function of the rows [first, after). Counts and sums are differences of prefix sums, in
integers and therefore exact and independent of order; smallest and largest come from a sparse table (Bender &
Farach-Colton, "The LCA Problem Revisited", 2000); distinct values are the rows whose previous occurrence lies before
the window, looked at one by one where windows are short, and counted in a wavelet matrix (Claude, Navarro & Ordóñez,
"The wavelet matrix", 2015) where they are long.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Rows that count_distinct looks at in one step: bounds its memory to some 100 MB.
ROWS_PER_STEP: Final = 4_000_000

# Looking at a row of a window costs about as much as this part of a step down the wavelet matrix for a window.
_ROWS_PER_LEVEL: Final = 2

# Mean radius of the earth, kilometres (IUGG: (2a + b) / 3 of WGS 84).
EARTH_RADIUS_KM: Final = 6371.0088

_INT64_SAFE: Final = 2.0**62


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

    def after(self, rows: Ints) -> Ints:
        """One past the last row with the time of each row: the end of its windows of any length."""
        return np.searchsorted(self._axis, self._axis[rows], side="right").astype(np.int64)

    def bounds(self, rows: Ints, window_us: int, after: Ints | None = None) -> Bounds:
        """The windows of length ``window_us`` that end with the given rows; ``after`` is ``after(rows)``, if known."""
        first = np.searchsorted(self._axis, self._axis[rows] - window_us, side="right").astype(np.int64)
        return Bounds(first, self.after(rows) if after is None else after)


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


def count_distinct(
    bounds: Bounds,
    included: Bools,
    codes: Ints,
    previous: Ints | None = None,
    *,
    rows_per_step: int = ROWS_PER_STEP,
) -> Ints:
    """How many different codes the included rows of each window have.

    ``previous`` is ``previous_occurrence(included, codes)``, if known.
    """
    previous = previous_occurrence(included, codes) if previous is None else previous
    lengths = bounds.after - bounds.first
    levels = max(1, len(codes).bit_length())
    if int(lengths.sum()) > _ROWS_PER_LEVEL * levels * (len(lengths) + len(codes)):
        # An excluded row counts for no window, so it gets a value beyond every border.
        return _count_below(bounds, np.where(included, previous + 1, len(codes) + 1), bounds.first + 1)
    return _count_fresh(bounds, included, previous, rows_per_step)


def deviation(bounds: Bounds, included: Bools, values: Ints) -> Floats:
    """The sample standard deviation of the included values; meaningless where there are fewer than two.

    √((n·Σx² − (Σx)²) / (n·(n − 1))): in integers up to the division, so that the result does not depend on the order or
    the chunks of the data.
    """
    number = count(bounds, included)
    chosen = np.where(included, values, 0)
    # As doubles: the smallest integer has no absolute value.
    size = float(np.abs(chosen.astype(np.float64)).max(initial=0))
    most = int(number.max(initial=0))
    if size * size * max(len(chosen), most * most) < _INT64_SAFE:
        sums, squares = total(bounds, included, values), total(bounds, included, chosen * chosen)
        spread = (number * squares - sums * sums).astype(np.float64)
    else:
        exact = chosen.astype(object)
        sums = _difference(np.cumsum(exact), bounds)
        spread = (number.astype(object) * _difference(np.cumsum(exact * exact), bounds) - sums * sums).astype(float)
    pairs = (number * (number - 1)).astype(np.float64)
    result: Floats = np.sqrt(spread / np.maximum(pairs, 1))
    return result


def union(bounds: Bounds, masks: Ints) -> Ints:
    """The bits that are set in any of each window's masks; 0 where a window is empty."""
    found = _sparse_table(bounds, masks, np.bitwise_or) if len(masks) else np.zeros(len(bounds.first), dtype=np.int64)
    return np.where(bounds.after > bounds.first, found, 0).astype(np.int64)


def first_row(bounds: Bounds, included: Bools) -> Ints:
    """The first included row of each window, −1 where there is none."""
    following = np.minimum.accumulate(np.where(included, np.arange(len(included)), len(included))[::-1])[::-1]
    at = np.r_[following, len(included)][bounds.first]
    return np.where(at < bounds.after, at, -1)


def last_row(bounds: Bounds, included: Bools) -> Ints:
    """The last included row of each window, −1 where there is none."""
    return _last_before(bounds.first, bounds.after, included)


def previous_row(bounds: Bounds, rows: Ints, included: Bools) -> Ints:
    """The last included row of each window that comes before the row it ends with, −1 where there is none."""
    return _last_before(bounds.first, rows, included)


def distance_km(latitude: Floats, longitude: Floats, rows: Ints, others: Ints) -> Floats:
    """Great-circle distances between rows, kilometres, to the metre (haversine formula on a sphere)."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    a = (
        np.sin((phi[others] - phi[rows]) / 2) ** 2
        + np.cos(phi[rows]) * np.cos(phi[others]) * np.sin((lam[others] - lam[rows]) / 2) ** 2
    )
    # To the metre, because the last digits of a sine depend on the processor that computes it.
    result: Floats = np.round(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(a, 0, 1))), 3)
    return result


def _difference(prefix: Ints, bounds: Bounds) -> Ints:
    padded = np.r_[np.zeros(1, dtype=prefix.dtype), prefix]
    result: Ints = padded[bounds.after] - padded[bounds.first]
    return result


def _last_before(first: Ints, after: Ints, included: Bools) -> Ints:
    preceding = np.maximum.accumulate(np.where(included, np.arange(len(included)), -1))
    at = np.r_[np.int64(-1), preceding][after]
    return np.where(at >= first, at, -1)


def _count_fresh(bounds: Bounds, included: Bools, previous: Ints, rows_per_step: int) -> Ints:
    lengths = bounds.after - bounds.first
    result = np.zeros(len(lengths), dtype=np.int64)
    # In steps of whole windows, so that memory stays bounded however many rows the windows have.
    ends = np.arange(rows_per_step, int(lengths.sum()) + rows_per_step, rows_per_step)
    cuts = np.searchsorted(np.cumsum(lengths), ends)
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


def _count_below(bounds: Bounds, values: Ints, borders: Ints) -> Ints:
    """How many of each window's values, which are not negative, are smaller than the window's border.

    Level by level, from the highest bit: values are sorted stably by that bit, and a window stays one run of rows.
    """
    first, after = bounds.first.copy(), bounds.after.copy()
    result = np.zeros(len(first), dtype=np.int64)
    row = values
    for bit in range(int(max(values.max(initial=0), borders.max(initial=0))).bit_length() - 1, -1, -1):
        zero = ((row >> bit) & 1) == 0
        zeros = np.r_[np.int64(0), np.cumsum(zero)]
        first_zero, after_zero = zeros[first], zeros[after]
        wants_one = ((borders >> bit) & 1) == 1
        result += np.where(wants_one, after_zero - first_zero, 0)
        ones_begin = zeros[-1]
        first = np.where(wants_one, ones_begin + first - first_zero, first_zero)
        after = np.where(wants_one, ones_begin + after - after_zero, after_zero)
        row = np.concatenate([row[zero], row[~zero]])
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


def previous_occurrence(included: Bools, codes: Ints) -> Ints:
    """The last included row before each row that has the same code, −1 where there is none."""
    rows = np.flatnonzero(included)
    order = rows[np.argsort(codes[rows], kind="stable")]
    previous = np.full(len(codes), -1, dtype=np.int64)
    same = codes[order[1:]] == codes[order[:-1]]
    previous[order[1:][same]] = order[:-1][same]
    return previous
