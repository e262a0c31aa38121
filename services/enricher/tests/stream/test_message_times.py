"""Whose clock says when a message was received, for a message as Faust passes it on."""

import time
from types import SimpleNamespace

import pytest
from cardwatch_enricher.stream.application import received_message

CREATE_TIME, LOG_APPEND_TIME = 0, 1
HOUR_US = 3_600_000_000


def broker_time(timestamp: float | None, timestamp_type: int) -> int | None:
    message = SimpleNamespace(
        topic="raw", partition=0, offset=0, key=None, value=b"", headers=None,
        timestamp=timestamp, timestamp_type=timestamp_type,
    )  # fmt: skip
    return received_message(message).broker_time


@pytest.mark.parametrize("hours", [2, 70 * 365 * 24])
def test_a_producers_time_counts_no_further_than_the_enrichers_clock(hours: int) -> None:
    now_us = time.time_ns() // 1000
    ahead = (now_us + hours * HOUR_US) / 1e6
    found = broker_time(ahead, CREATE_TIME)
    assert found is not None
    assert now_us <= found < now_us + HOUR_US
    assert broker_time(ahead, LOG_APPEND_TIME) == pytest.approx(now_us + hours * HOUR_US, abs=1000)


def test_a_time_in_the_past_is_what_it_is_whoever_set_it() -> None:
    assert (
        broker_time(1_700_000_000.123, CREATE_TIME)
        == broker_time(1_700_000_000.123, LOG_APPEND_TIME)
        == (1_700_000_000_123_000)
    )
    assert broker_time(None, CREATE_TIME) is None
    assert broker_time(-1e15, CREATE_TIME) is None
