"""Suppression: at most one alert in any S, every other hit counted on one, all of it decided by the last 7·S."""

from itertools import pairwise

import numpy as np
from cardwatch_rules.model import SUPPRESSION_REACH
from cardwatch_rules.suppress import ALERTS, classify
from hypothesis import given
from hypothesis import strategies as st

S = 10
HITS = st.lists(st.integers(0, 300), min_size=1, max_size=80).map(sorted)


def classified(times: list[int], suppress: int = S) -> list[int]:
    at = np.array(times, dtype=np.int64)
    return classify(np.zeros(len(times), dtype=np.int64), at, suppress).tolist()


def by_definition(times: list[int], suppress: int = S) -> list[int]:
    """docs/rules.md, word by word."""
    opens, alerts, result = [], [], []
    slots: set[int] = set()
    for at, time in enumerate(times):
        if not any(earlier > time - suppress for earlier in times[:at]):
            opens.append(time)
            alerts.append(at)
            result.append(ALERTS)
            continue
        slot, within = divmod(time, 2 * suppress)
        if within < suppress and opens[-1] <= time - suppress and slot not in slots:
            slots.add(slot)
            alerts.append(at)
            result.append(ALERTS)
            continue
        result.append(alerts[-1])
    return result


def test_an_ongoing_attack_repeats_its_alert() -> None:
    #                 slots [0, 10)      [20, 30)      [40, 50)
    times = [1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 41]
    assert classified(times) == [-1, 0, 0, 0, 0, -1, 5, 5, 5, 5, -1]


def test_quiet_for_s_opens_again() -> None:
    assert classified([0, 10, 19, 29]) == [-1, -1, 1, -1]


def test_keys_do_not_touch() -> None:
    group, at = np.array([0, 0, 1, 1]), np.array([5, 6, 6, 7])
    assert classify(group, at, S).tolist() == [-1, 0, -1, 2]


def test_hits_at_the_same_time_are_one_alert() -> None:
    assert classified([5, 5, 5]) == [-1, 0, 0]


@given(HITS)
def test_as_defined(times: list[int]) -> None:
    assert classified(times) == by_definition(times)


@given(HITS)
def test_at_most_one_alert_in_any_s(times: list[int]) -> None:
    alerts = [time for time, on in zip(times, classified(times), strict=True) if on == ALERTS]
    assert all(later - earlier >= S for earlier, later in pairwise(alerts))


@given(HITS, st.integers(0, 300))
def test_the_last_seven_s_decide(times: list[int], now: int) -> None:
    recent = [at for at, time in enumerate(times) if now - SUPPRESSION_REACH * S < time]
    whole = classified(times)
    part = classified([times[at] for at in recent])
    for position, at in enumerate(recent):
        if times[at] >= now:
            assert (whole[at] if whole[at] == ALERTS else recent.index(whole[at])) == part[position]
