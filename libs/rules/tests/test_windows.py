"""Measures over (t − W, t] on timelines small enough to draw, and against counting by hand on random ones."""

import numpy as np
import pytest
from cardwatch_rules import windows
from hypothesis import given, settings
from hypothesis import strategies as st


def bounds_of(times: list[int], window: int, groups: list[int] | None = None) -> list[tuple[int, int]]:
    group = np.array(groups or [0] * len(times), dtype=np.int64)
    timeline = windows.Timeline(group, np.array(times, dtype=np.int64), window)
    found = timeline.bounds(np.arange(len(times), dtype=np.int64), window)
    return list(zip(found.first.tolist(), found.after.tolist(), strict=True))


def test_open_at_the_start() -> None:
    # time   0         10        a window of 10 ending at 10 is (0, 10]: 0 lies outside
    # row    0         1
    assert bounds_of([0, 10], 10) == [(0, 1), (1, 2)]


def test_one_microsecond_inside() -> None:
    # time   1        10         (0, 10] holds 1
    assert bounds_of([1, 10], 10) == [(0, 1), (0, 2)]


def test_ties_see_each_other() -> None:
    # time   5  5  5  7          each of the three at 5 sees all three
    assert bounds_of([5, 5, 5, 7], 10) == [(0, 3), (0, 3), (0, 3), (0, 4)]


def test_groups_do_not_touch() -> None:
    # the same times in two groups: the second group's windows begin with its own rows
    assert bounds_of([1, 2, 1, 2], 1_000_000, [0, 0, 1, 1]) == [(0, 1), (0, 2), (2, 3), (2, 4)]


def test_group_far_in_the_future_does_not_reach_back() -> None:
    far = 4_000_000_000_000_000
    assert bounds_of([0, far, far], 10, [0, 1, 1]) == [(0, 1), (1, 3), (1, 3)]


def test_refuses_more_than_the_axis_can_hold() -> None:
    group = np.array([0, 0, 2**40], dtype=np.int64)
    with pytest.raises(OverflowError, match="too many groups"):
        windows.Timeline(group, np.array([0, 2**40, 0], dtype=np.int64), 1)


ROW = st.tuples(
    st.integers(0, 3),  # group
    st.integers(0, 40),  # time
    st.integers(-50, 50),  # value
    st.integers(0, 4),  # code
    st.booleans(),  # included
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=60), st.integers(1, 50), st.integers(1, 7))
def test_equals_counting_by_hand(rows: list[tuple[int, int, int, int, bool]], window: int, step: int) -> None:
    rows = sorted(rows, key=lambda row: row[:2])
    group, time, value, code = (np.array(column, dtype=np.int64) for column in list(zip(*rows, strict=True))[:4])
    included = np.array([row[4] for row in rows])
    # Codes of different groups differ, as the evaluator makes them.
    code = code + group * 10
    asked = np.arange(0, len(rows), step, dtype=np.int64)
    bounds = windows.Timeline(group, time, window).bounds(asked, window)
    expected = [
        [
            (rows[j][2], code[j])
            for j in range(len(rows))
            if group[j] == group[i] and time[i] - window < time[j] <= time[i] and included[j]
        ]
        for i in asked
    ]
    assert windows.count(bounds, included).tolist() == [len(inside) for inside in expected]
    assert windows.total(bounds, included, value).tolist() == [sum(v for v, _ in inside) for inside in expected]
    assert windows.count_distinct(bounds, included, code).tolist() == [len({c for _, c in i}) for i in expected]
    low, high = windows.smallest(bounds, included, value), windows.largest(bounds, included, value)
    for at, inside in enumerate(expected):
        if inside:
            assert (low[at], high[at]) == (min(v for v, _ in inside), max(v for v, _ in inside))


def test_distinct_in_steps_is_the_same() -> None:
    random = np.random.default_rng(3)
    time = np.sort(random.integers(0, 500, 400)).astype(np.int64)
    group = np.zeros(400, dtype=np.int64)
    code = random.integers(0, 30, 400).astype(np.int64)
    included = random.random(400) < 0.7
    rows = np.arange(400, dtype=np.int64)
    bounds = windows.Timeline(group, time, 60).bounds(rows, 60)
    whole = windows.count_distinct(bounds, included, code)
    for size in (1, 7, 97, 5000):
        in_steps = windows.count_distinct(bounds, included, code, rows_per_step=size)
        assert in_steps.tolist() == whole.tolist()
