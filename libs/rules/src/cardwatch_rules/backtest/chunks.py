"""A scope's transactions in chunks that fit into memory and a processor's cache.

A chunk holds whole keys, so chunks can be evaluated in any order and in parallel, with the result of one evaluation
over all. Only the order of the rows is computed for all of them; columns are gathered chunk by chunk.
"""

from typing import Final

import numpy as np
import polars as pl

from cardwatch_rules.windows import Bools, Ints

# The longest axis that `windows.Timeline` can have (groups times their time span), with a margin.
_AXIS: Final = 2**62


class Chunks:
    """The chunks of a frame, by index from 0 to ``len`` − 1."""

    def __init__(self, transactions: pl.DataFrame, key: str, rows_at_most: int, longest_window_us: int) -> None:
        """
        Args:
            transactions: one row per ``transaction_id``, unsorted, with ``event_time`` (int64, microseconds) and the
                column of the key, which has no nulls.
            key: column whose values are the groups.
            rows_at_most: rows per chunk, unless a single key has more.
            longest_window_us: the longest window of the rules to evaluate, microseconds.
        """
        self._transactions = transactions
        codes: Ints = transactions[key].to_arrow().dictionary_encode().indices.to_numpy(zero_copy_only=False)
        codes = codes.astype(np.int64)
        times = transactions["event_time"].to_numpy()
        self._order = np.lexsort((times, codes))
        self._codes = codes[self._order]
        self._sort_ties(times[self._order])
        span = int(times.max() - times.min()) if len(times) else 0
        self._cuts = self._cut(rows_at_most, _AXIS // (span + longest_window_us + 1))

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def __getitem__(self, number: int) -> pl.DataFrame:
        """One chunk: sorted by (``group``, ``event_time``, ``transaction_id``), groups numbered from 0."""
        part = slice(int(self._cuts[number]), int(self._cuts[number + 1]))
        codes = self._codes[part]
        chunk: pl.DataFrame = self._transactions[self._order[part]]
        return chunk.with_columns(group=pl.Series(codes - codes[0], dtype=pl.Int64))

    def _sort_ties(self, times: Ints) -> None:
        """Order rows with the same key and time by transaction id; these are few, so few texts are compared."""
        same = (self._codes[1:] == self._codes[:-1]) & (times[1:] == times[:-1])
        if not same.any():
            return
        tied = np.flatnonzero(np.r_[False, same] | np.r_[same, False])
        rows = self._order[tied]
        by = pl.DataFrame({"code": self._codes[tied], "time": times[tied]}).with_columns(
            identity=self._transactions["transaction_id"][rows]
        )
        self._order[tied] = rows[by.select(pl.arg_sort_by("code", "time", "identity")).to_series().to_numpy()]

    def _cut(self, rows_at_most: int, groups_at_most: int) -> Ints:
        """The first row of each chunk, and the end; each chunk takes as many whole groups as fit."""
        if not len(self._codes):
            return np.zeros(1, dtype=np.int64)
        first: Bools = np.r_[True, self._codes[1:] != self._codes[:-1]]
        starts = np.r_[np.flatnonzero(first), len(self._codes)]
        cuts = [0]
        group = 0
        while group < len(starts) - 1:
            full = int(np.searchsorted(starts, starts[group] + rows_at_most, side="right")) - 1
            group = min(max(full, group + 1), group + groups_at_most)
            cuts.append(int(starts[group]))
        return np.array(cuts, dtype=np.int64)
