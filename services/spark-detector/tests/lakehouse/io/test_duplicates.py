"""Finds messages whose transaction is already in the table, and the time ranges to search."""

import random

import duckdb
import polars as pl
import pytest
from cardwatch_detector.lakehouse.io.duplicates import find_repeated
from cardwatch_detector.lakehouse.io.time_ranges import TimeRange, time_filter, time_ranges

WITHIN = 100
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
NOON_US = 1_795_521_600_000_000  # 2026-11-24T12:00:00Z


def arrivals(*rows: tuple[str, int]) -> pl.DataFrame:
    """(id, event time), in the order in which they came."""
    return pl.DataFrame(
        [(identity, at, 0, offset) for offset, (identity, at) in enumerate(rows)],
        schema={"transaction_id": pl.String, "event_us": pl.Int64, "partition": pl.Int32, "offset": pl.Int64},
        orient="row",
    )


def known(*rows: tuple[str, int]) -> pl.DataFrame:
    return arrivals(*rows).select("transaction_id", "event_us")


def left_out(found: pl.DataFrame) -> list[int]:
    return sorted(found["offset"].to_list())


def test_the_first_message_about_a_transaction_stays() -> None:
    assert left_out(find_repeated(arrivals(("a", 5), ("b", 5), ("a", 5), ("a", 7)), known(), WITHIN)) == [2, 3]


def test_transactions_of_the_table_are_left_out() -> None:
    assert left_out(find_repeated(arrivals(("a", 5), ("b", 5)), known(("a", 5), ("c", 5)), WITHIN)) == [0]


def test_the_margin_is_included_and_ends_there() -> None:
    found = find_repeated(arrivals(("a", 1000 - WITHIN), ("b", 1000 + WITHIN), ("c", 1001 + WITHIN)),
                     known(("a", 1000), ("b", 1000), ("c", 1000)), WITHIN)  # fmt: skip
    assert left_out(found) == [0, 1]


def test_only_kept_transactions_make_others_duplicates() -> None:
    # The second is a duplicate of the first; the third is too far from the first, and the second is not there.
    assert left_out(find_repeated(arrivals(("a", 0), ("a", 80), ("a", 160)), known(), WITHIN)) == [1]


@pytest.mark.parametrize("seed", range(20))
def test_the_division_into_micro_batches_does_not_matter(seed: int) -> None:
    draw = random.Random(seed)
    rows = [(draw.choice("abcdef"), draw.randrange(1000)) for _ in range(60)]
    everything = arrivals(*rows)
    at_once = left_out(find_repeated(everything, known(), WITHIN))
    kept, dropped, begin = known(), [], 0
    while begin < len(rows):
        batch = everything.slice(begin, draw.randrange(1, 20))
        again = find_repeated(batch, kept, WITHIN)
        dropped += again["offset"].to_list()
        kept = pl.concat([kept, batch.join(again, on=["partition", "offset"], how="anti").select(kept.columns)])
        begin += batch.height
    assert sorted(dropped) == at_once


def test_overlapping_ranges_are_joined() -> None:
    assert time_ranges(pl.Series([10, 0, 200]), within_us=WITHIN) == [TimeRange(-100, 300)]
    assert time_ranges(pl.Series([0, 201]), within_us=WITHIN) == [TimeRange(-100, 100), TimeRange(101, 301)]
    assert time_ranges(pl.Series([], dtype=pl.Int64), within_us=WITHIN) == []


def test_a_distant_transaction_does_not_join_all_ranges_between() -> None:
    recent = [NOON_US + number * 1_000 for number in range(5_000)]
    found = time_ranges(pl.Series([NOON_US - 400 * DAY_US, *recent, NOON_US + 9 * DAY_US]), within_us=HOUR_US)
    assert [(one.first, one.last) for one in found] == [
        (NOON_US - 400 * DAY_US - HOUR_US, NOON_US - 400 * DAY_US + HOUR_US),
        (NOON_US - HOUR_US, recent[-1] + HOUR_US),
        (NOON_US + 9 * DAY_US - HOUR_US, NOON_US + 9 * DAY_US + HOUR_US),
    ]


def test_too_many_ranges_are_joined_at_the_smallest_gaps() -> None:
    assert time_ranges(pl.Series([0, 1_000, 1_300, 9_000]), within_us=WITHIN, at_most=3) == [
        TimeRange(-100, 100),
        TimeRange(900, 1_400),
        TimeRange(8_900, 9_100),
    ]


def test_every_event_time_lies_in_a_range_with_its_margin() -> None:
    draw = random.Random(3)
    times = [draw.randrange(10**6) for _ in range(300)] + [-(2**62), 2**62]
    found = time_ranges(pl.Series(times), within_us=WITHIN, at_most=7)
    assert len(found) <= 7
    assert all(any(one.first <= at - WITHIN and at + WITHIN <= one.last for one in found) for at in times)


def test_the_filter_selects_exactly_the_times_in_the_ranges() -> None:
    found = time_ranges(pl.Series([NOON_US, NOON_US - 3 * DAY_US]), within_us=HOUR_US)
    times = [NOON_US + off for off in (-HOUR_US - 1, -HOUR_US, 0, HOUR_US, HOUR_US + 1, -3 * DAY_US, -2 * DAY_US)]
    condition = time_filter(found, "event_time", day="event_date")
    with duckdb.connect() as connection:
        rows = ", ".join(f"({at})" for at in times)
        held = connection.execute(
            f"SELECT us FROM (SELECT us, make_timestamp(us) AS event_time, make_timestamp(us)::DATE AS event_date "
            f"FROM (VALUES {rows}) AS rows(us)) WHERE {condition} ORDER BY us"
        ).fetchall()
    assert [us for (us,) in held] == sorted([times[5], times[1], times[2], times[3]])


def test_times_that_sql_cannot_write_have_no_bound() -> None:
    assert time_filter([TimeRange(2**62, 2**62 + 1)], "at") == "((at >= TIMESTAMP'9999-01-01 00:00:00.000000Z'))"
    assert time_filter([TimeRange(-(2**62), 2**62)], "at") == "((true))"
    assert time_filter([], "at") == "false"
