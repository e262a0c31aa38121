"""When a delivery is tried again, and when it is parked."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cardwatch_notifier.delivery.policy import DeliveryPolicy
from cardwatch_notifier.delivery.receiver import Delivered, Gone, Outcome, Rejected, TryAgain
from cardwatch_notifier.delivery.retry_schedule import RetrySchedule, parse_retry_after
from cardwatch_notifier.outbox.protocol import Attempt, Delivery, DeliveryState, Message

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SCHEDULE = RetrySchedule(first_seconds=1, longest_seconds=60)
POLICY = DeliveryPolicy(
    transient=SCHEDULE, rejected=RetrySchedule(60, 3600), max_failures=20, max_rejections=3, jitter=lambda: 0.5
)


def judge(outcome: Outcome, attempts: int = 0, rejections: int = 0) -> Attempt:
    message = Message(1, "id", "alert", "{}", 0, 0, 0, 0)
    return POLICY.decide(Delivery(message, attempts, rejections), outcome, now=1_000_000_000)


def test_pauses_double_up_to_the_longest() -> None:
    assert [SCHEDULE.pause(failures, lambda: 0.5) for failures in (1, 2, 3, 6, 7, 8, 10_000)] == [
        1, 2, 4, 32, 60, 60, 60,
    ]  # fmt: skip


def test_jitter_spreads_a_pause_by_a_quarter_either_way() -> None:
    assert SCHEDULE.pause(4, lambda: 0.0) == 6.0
    assert SCHEDULE.pause(4, lambda: 1.0) == 10.0


def test_retry_after_is_a_minimum_with_jitter() -> None:
    assert SCHEDULE.pause(1, lambda: 0.0, after_seconds=300) == 300
    assert SCHEDULE.pause(1, lambda: 1.0, after_seconds=300) == pytest.approx(330)
    assert SCHEDULE.pause(10, lambda: 0.0, after_seconds=5) == 5, "Retry-After takes precedence over the backoff"


def test_retry_after_is_bounded() -> None:
    assert SCHEDULE.pause(1, lambda: 0.0, after_seconds=0) == 1, "no hot loop"
    assert SCHEDULE.pause(1, lambda: 0.0, after_seconds=1e9) == 24 * 3600


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("Tue, 24 Nov 2026 14:00:30 +0200", 30),
        ("86401", 86_400),
        ("9" * 60, 86_400),
        ("9" * 5000, None),
        ("Tue, 24 Nov 2099 12:00:30 GMT", 86_400),
        ("Tue, 24 Nov 2026 12:00:30 +" + "9" * 30, None),
        ("²", None),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, NOON) == seconds


def test_a_delivered_message_is_done() -> None:
    assert judge(Delivered()).state is DeliveryState.DELIVERED


def test_a_transient_failure_is_tried_again_soon() -> None:
    attempt = judge(TryAgain("it answered 503"), attempts=2)
    assert attempt == Attempt(
        1, DeliveryState.PENDING, at=1_000_000_000, next_attempt_at=1_004_000_000, error="it answered 503"
    )


def test_failures_before_count_towards_the_backoff_but_not_rejections() -> None:
    assert judge(TryAgain("503"), attempts=2, rejections=2).next_attempt_at == 1_001_000_000


def test_a_refusal_is_tried_again_slowly_and_then_parked() -> None:
    first = judge(Rejected("it answered 400"))
    assert (first.state, first.next_attempt_at, first.rejected) == (DeliveryState.PENDING, 1_060_000_000, True)
    last = judge(Rejected("it answered 400"), attempts=2, rejections=2)
    assert (last.state, last.error) == (DeliveryState.FAILED, "it answered 400")


def test_a_permanent_failure_is_parked_in_the_end() -> None:
    assert judge(TryAgain("503"), attempts=18).state is DeliveryState.PENDING
    assert judge(TryAgain("503"), attempts=19).state is DeliveryState.FAILED


def test_an_attempt_at_a_receiver_that_is_gone_does_not_count() -> None:
    attempt = judge(Gone("it answered 410 Gone"), attempts=19)
    assert (attempt.state, attempt.counted) == (DeliveryState.PENDING, False)


@pytest.mark.parametrize("seconds", [(0, 1), (2, 1), (-1, 1)])
def test_an_invalid_schedule_is_refused(seconds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="expected 0 < first_seconds <= longest_seconds, got"):
        RetrySchedule(*seconds)


def test_the_policy_knows_every_outcome(kit: Any) -> None:
    for outcome in (Delivered(), TryAgain("x"), Rejected("x"), Gone("x")):
        assert judge(outcome).sequence == 1
