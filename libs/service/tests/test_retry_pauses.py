"""Pauses that double stay within their bounds, however long an outage lasts."""

import pytest
from cardwatch_service.retry_pauses import CONSUMER_RESTART, QUERY_RESTART, DoublingPause


@pytest.mark.parametrize(
    ("pause", "expected"),
    [(QUERY_RESTART, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]), (CONSUMER_RESTART, [2.0, 4.0, 8.0, 16.0, 30.0, 30.0])],
)
def test_pauses_double_up_to_the_longest(pause: DoublingPause, expected: list[float]) -> None:
    assert [pause.seconds(failures) for failures in range(1, len(expected) + 1)] == expected


def test_an_outage_of_days_does_not_overflow() -> None:
    assert CONSUMER_RESTART.seconds(100_000) == 30.0
