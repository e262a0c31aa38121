import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cardwatch_units.timestamps import from_microseconds, now_microseconds, parse_time, to_microseconds


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert parse_time("1970-01-01T00:00:01") == 1_000_000
    assert parse_time("1970-01-01T01:00:01+01:00") == 1_000_000
    assert parse_time("1970-01-02") == 86_400_000_000
    with pytest.raises(ValueError, match=r"expected an ISO 8601 time such as 2026-11-01 .*, got 'yesterday'"):
        parse_time("yesterday")


def test_conversions_are_exact_to_the_microsecond() -> None:
    moment = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert from_microseconds(to_microseconds(moment)) == moment
    assert to_microseconds(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0
    assert to_microseconds(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000_000


def test_a_time_beyond_the_calendar_is_an_overflow() -> None:
    with pytest.raises(OverflowError):
        from_microseconds(2**63 - 1)


def test_a_time_without_offset_is_not_converted() -> None:
    with pytest.raises(TypeError):
        to_microseconds(datetime(1970, 1, 1))


def test_now() -> None:
    before = time.time_ns() // 1_000
    assert before <= now_microseconds() <= time.time_ns() // 1_000
