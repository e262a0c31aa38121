"""Which days a profile covers, when it can be computed, and which profiles a transaction changes.

Days are UTC. The profile of day D covers the days [D − 91, D − 2], whose last 30 are [D − 31, D − 2]:

    day     D−91 ················ D−31 ········ D−2 │ D−1 │ D
            └──────────────── 90 days ─────────────┘ grace  the day that it is for
                                  └── 30 days ─────┘
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

LONG_DAYS: Final = 90
SHORT_DAYS: Final = 30
# From the last day of a profile to the day that it is for; the day of grace is between them.
AHEAD_DAYS: Final = 2
_DAY: Final = timedelta(days=1)


def first_day(valid_on: date) -> date:
    """The earliest day of a profile's 90."""
    return last_day(valid_on) - (LONG_DAYS - 1) * _DAY


def last_day(valid_on: date) -> date:
    """The last day of a profile."""
    return valid_on - AHEAD_DAYS * _DAY


def newest_profile(watermark: date) -> date:
    """The newest day whose profile can be computed.

    Args:
        watermark: day of the newest event time less the lateness: the days before it are settled.
    """
    return watermark + _DAY


def kept_from(newest: date, days_kept: int) -> date:
    """The oldest of the profiles that are kept, `newest` being the newest."""
    return newest - (days_kept - 1) * _DAY


@dataclass(frozen=True)
class RefreshPlan:
    """What has to be computed, or computed again.

    Attributes:
        days: those whose partial aggregates are computed.
        valid_on: those whose profiles are computed, all of them at once, after the days.
    """

    days: tuple[date, ...] = ()
    valid_on: tuple[date, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.days or self.valid_on)


def plan_refresh(
    touched: Collection[date],
    newly_settled: Collection[date],
    *,
    computed: date | None,
    newest: date,
    days_kept: int,
) -> RefreshPlan:
    """The days and profiles that new transactions change.

    Args:
        touched: the transactions' days.
        newly_settled: the days with transactions that are settled now, and were not for the profile of `computed`.
        computed: the newest day whose profile is computed already; None where there is none.
        newest: the newest day whose profile can be computed; not before `computed`.
        days_kept: how many days' profiles are kept.
    """
    late = {day for day in touched if computed is not None and day <= last_day(computed)}
    days = late.union(newly_settled)
    if computed is None and not days:
        return RefreshPlan()
    kept = [newest - back * _DAY for back in range(days_kept)]
    # A day more than 91 days before all profiles changes none; its aggregates are computed nevertheless.
    valid_on = [
        day
        for day in kept
        if computed is None or day > computed or any(first_day(day) <= changed <= last_day(day) for changed in late)
    ]
    return RefreshPlan(tuple(sorted(days)), tuple(sorted(valid_on)))
