"""Which hits of a rule raise an alert, and on which alert the others are counted. docs/rules.md defines it.

    S = 10m      slots: [12:00, 12:10)  [12:20, 12:30) …
    12:01 opens (quiet for S)   12:05 12:09 12:13 12:17 counted on 12:01   12:21 repeats (first in its slot)   12:25 …

It depends on the hits of the last ``SUPPRESSION_REACH`` lengths S only: an opening hit looks back S, so a repeating one
looks back 2·S to know whether an opening one is too near, and 3·S to know whether it is its slot's first; and of any
4·S in which hits go on, one begins with an alert.
"""

from typing import Final

import numpy as np

from cardwatch_rules.windows import Bools, Ints

ALERTS: Final = -1


def classify(group: Ints, event_time_us: Ints, suppress_us: int) -> Ints:
    """For each hit the position of the alert that it is counted on, ALERTS (−1) where it raises one itself.

    Args:
        group: numbers of the keys, non-decreasing.
        event_time_us: microseconds, non-decreasing within a key; equal times in the order of transaction ids.
        suppress_us: S, microseconds.
    """
    number = len(group)
    if not number:
        return np.empty(0, dtype=np.int64)
    position = np.arange(number, dtype=np.int64)
    same_key = np.r_[False, group[1:] == group[:-1]]
    quiet_for = np.r_[np.int64(0), np.diff(event_time_us)]
    opens = ~same_key | (quiet_for >= suppress_us)
    # The first hit of a key always opens, so the last opening one at or before a hit is one of its own key.
    opening = np.maximum.accumulate(np.where(opens, position, 0))
    in_slot = event_time_us % (2 * suppress_us) < suppress_us
    candidate = ~opens & in_slot & (event_time_us - event_time_us[opening] >= suppress_us)
    alerts = opens | _first_of_slot(group, event_time_us // (2 * suppress_us), candidate)
    latest = np.maximum.accumulate(np.where(alerts, position, 0))
    return np.where(alerts, ALERTS, latest)


def _first_of_slot(group: Ints, slot: Ints, candidate: Bools) -> Bools:
    rows = np.flatnonzero(candidate)
    first = np.zeros(len(group), dtype=np.bool_)
    if len(rows):
        differs = (group[rows][1:] != group[rows][:-1]) | (slot[rows][1:] != slot[rows][:-1])
        first[rows[np.r_[True, differs]]] = True
    return first
