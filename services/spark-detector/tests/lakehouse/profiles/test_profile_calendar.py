"""Which profiles are computed when: in any order of arrival, the tables follow from silver."""

from collections import Counter
from datetime import date, timedelta

from cardwatch_detector.lakehouse.profiles.calendar import (
    RefreshPlan,
    first_day,
    kept_from,
    last_day,
    newest_profile,
    plan_refresh,
)
from hypothesis import example, given
from hypothesis import strategies as st

DAY = timedelta(days=1)
MONDAY = date(2026, 3, 2)
WEDNESDAY = MONDAY + 2 * DAY


def test_a_profile_covers_90_days_before_a_day_of_grace() -> None:
    assert last_day(date(2026, 4, 2)) == date(2026, 3, 31)
    assert (last_day(WEDNESDAY) - first_day(WEDNESDAY)).days + 1 == 90


def test_a_profile_can_be_computed_when_the_watermark_enters_its_day_of_grace() -> None:
    # Mon ──── Tue ──── Wed    Monday is settled with the watermark's first moment in Tuesday: the profile of Wednesday
    assert newest_profile(MONDAY + DAY) == WEDNESDAY
    assert last_day(WEDNESDAY) == MONDAY


def test_transactions_of_unsettled_days_change_nothing() -> None:
    assert (
        plan_refresh([MONDAY, MONDAY + DAY], [], computed=WEDNESDAY - DAY, newest=WEDNESDAY - DAY, days_kept=8)
        == RefreshPlan()
    )
    assert not plan_refresh([MONDAY], [], computed=None, newest=MONDAY + DAY, days_kept=8)


def test_a_settled_day_leads_to_one_profile() -> None:
    assert plan_refresh(
        [MONDAY + DAY], [MONDAY], computed=WEDNESDAY - DAY, newest=WEDNESDAY, days_kept=8
    ) == RefreshPlan((MONDAY,), (WEDNESDAY,))


def test_a_late_transaction_recomputes_the_profiles_that_cover_its_day() -> None:
    late = MONDAY - 3 * DAY
    planned = plan_refresh([late], [], computed=WEDNESDAY, newest=WEDNESDAY, days_kept=8)
    assert planned == RefreshPlan((late,), tuple(late + k * DAY for k in range(2, 6)))


def test_a_very_late_transaction_changes_its_day_only() -> None:
    late = WEDNESDAY - 120 * DAY
    planned = plan_refresh([late], [], computed=WEDNESDAY, newest=WEDNESDAY, days_kept=8)
    assert planned == RefreshPlan((late,), ())


def test_many_days_at_once_compute_only_the_kept_profiles() -> None:
    days = [WEDNESDAY - back * DAY for back in range(2, 180)]
    planned = plan_refresh([], days, computed=None, newest=WEDNESDAY, days_kept=3)
    assert planned == RefreshPlan(tuple(sorted(days)), (WEDNESDAY - 2 * DAY, WEDNESDAY - DAY, WEDNESDAY))


arrivals = st.lists(
    st.tuples(
        st.lists(st.integers(0, 130), min_size=1, max_size=4),  # days of a micro-batch's transactions
        st.booleans(),  # whether the process starts again before it
    ),
    max_size=12,
)


@given(arrivals, st.integers(1, 5))
@example([([2, 95], False), ([0], True)], 4)  # profiles without rows are not seen in the table after a start
@example([([0, 91], False), ([0], True)], 1)
def test_the_tables_follow_from_silver(batches: list[tuple[list[int], bool]], days_kept: int) -> None:
    silver: Counter[date] = Counter()
    days: dict[date, int] = {}
    profiles: dict[date, dict[date, int]] = {}
    made: date | None = None

    def over(valid_on: date, source: dict[date, int]) -> dict[date, int]:
        return {day: count for day, count in source.items() if first_day(valid_on) <= day <= last_day(valid_on)}

    for offsets, restarted in batches:
        touched = [MONDAY + offset * DAY for offset in offsets]
        silver.update(touched)
        seen = touched
        if restarted:
            made = max((valid_on for valid_on, of in profiles.items() if of), default=None) if days else None
            seen = list(silver)
        newest = max(newest_profile(max(seen)), made or date.min)
        settled = [day for day in silver if day <= last_day(newest) and (made is None or day > last_day(made))]
        planned = plan_refresh(touched, settled, computed=made, newest=newest, days_kept=days_kept)
        days.update({day: silver[day] for day in planned.days})
        if planned.valid_on:
            oldest = kept_from(newest, days_kept)
            assert planned.valid_on[0] >= oldest
            assert planned.valid_on[-1] <= newest
            profiles.update({valid_on: over(valid_on, days) for valid_on in planned.valid_on})
            profiles = {valid_on: of for valid_on, of in profiles.items() if valid_on >= oldest}
        made = newest

        assert days == {day: count for day, count in silver.items() if day <= last_day(newest)}
        for back in range(days_kept):
            valid_on = newest - back * DAY
            assert profiles.get(valid_on, {}) == over(valid_on, silver)
