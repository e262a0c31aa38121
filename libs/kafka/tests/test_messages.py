"""The times of messages: the broker's as they are, those of producers no later than the reader's clock."""

import pytest
from cardwatch_kafka.messages import broker_time_from
from hypothesis import given
from hypothesis import strategies as st

LONGS = st.integers(-(2**63), 2**63 - 1)
NOW = 1_800_000_000_000_000


@given(LONGS)
def test_any_number_of_64_bits_is_a_time_or_none(milliseconds: int) -> None:
    broker, producer = broker_time_from(milliseconds), broker_time_from(milliseconds, read_at=NOW)
    assert (broker is None) == (producer is None)
    if broker is not None and producer is not None:
        assert broker == milliseconds * 1000
        assert producer == min(broker, NOW)


@pytest.mark.parametrize("hours", [2, 24, 70 * 365 * 24])
def test_a_producer_cannot_make_the_future_begin_later(hours: int) -> None:
    ahead = NOW // 1000 + hours * 3_600_000
    assert broker_time_from(ahead, read_at=NOW) == NOW
    assert broker_time_from(ahead) == ahead * 1000, "the broker's own clock is believed"


@pytest.mark.parametrize("milliseconds", [-1, -(2**63), 2**63 - 1, 253_370_764_800_001])
def test_made_up_times_count_as_none(milliseconds: int) -> None:
    assert broker_time_from(milliseconds) is None
    assert broker_time_from(milliseconds, read_at=NOW) is None
