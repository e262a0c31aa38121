"""Couriers deliver due messages to their receiver and record the outcomes in the outbox."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from cardwatch_notifier.delivery.courier import Courier
from cardwatch_notifier.delivery.courier_watch import GRACE_SECONDS
from cardwatch_notifier.delivery.couriers import Couriers
from cardwatch_notifier.delivery.policy import DeliveryPolicy
from cardwatch_notifier.delivery.receiver import Delivered, Gone, Outcome, Rejected, TryAgain
from cardwatch_notifier.delivery.retry_schedule import RetrySchedule
from cardwatch_notifier.metrics import DELIVERIES_TOTAL, NotifierMetrics, OutboxCollector
from cardwatch_notifier.outbox.protocol import Message, Outbox
from cardwatch_notifier.readiness import NotifierReadiness
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.metrics import Metrics

POLICY = DeliveryPolicy(
    RetrySchedule(1, 60), RetrySchedule(60, 3600), max_failures=5, max_rejections=2, jitter=lambda: 0.5
)


class Bench:
    """A courier without threads: ``round`` sends what is due and records the outcomes."""

    def __init__(self, outbox: Outbox, receiver: Any, clock: Any, executor: Executor) -> None:
        self.metrics = Metrics()
        self.courier = Courier(outbox, receiver, POLICY, executor, NotifierMetrics(self.metrics, "webhook"), clock)

    def round(self) -> None:
        self.courier.send_due()
        self.courier.record_outcomes()

    def count(self, outcome: str) -> float:
        labels = {"receiver": "webhook", "outcome": outcome}
        return self.metrics.registry.get_sample_value("cardwatch_notifier_deliveries_total", labels) or 0.0


@pytest.fixture
def receiver(kit: Any) -> Any:
    return kit.FakeReceiver()


@pytest.fixture
def bench(outbox: Outbox, receiver: Any, clock: Any, kit: Any) -> Bench:
    return Bench(outbox, receiver, clock, kit.Inline())


def test_a_message_is_delivered_once(bench: Bench, outbox: Outbox, receiver: Any, clock: Any, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a")], ["webhook"], clock())
    bench.round()
    bench.round()
    assert receiver.ids == [kit.alert_id("a")]
    assert bench.count("delivered") == 1


def test_latencies_are_observed_from_each_start(bench: Bench, outbox: Outbox, clock: Any, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a")], ["webhook"], clock())
    bench.round()
    sums = {
        start: bench.metrics.registry.get_sample_value(
            "cardwatch_latency_seconds_sum", {"start": start, "end": "delivered"}
        )
        for start in ("event_time", "raw_broker_time", "alert_published")
    }
    # The transaction happened 10 s ago, was appended 1 s later, and its alert was published 2 s after that.
    assert sums == {"event_time": 10.0, "raw_broker_time": 9.0, "alert_published": 8.0}


def test_a_failed_attempt_is_repeated_after_its_pause_with_the_same_id(
    bench: Bench, outbox: Outbox, receiver: Any, clock: Any, kit: Any
) -> None:
    receiver.outcomes = [TryAgain("503"), TryAgain("503")]
    outbox.accept([kit.arrival(0, "a")], ["webhook"], clock())
    for pause in (1, 2):
        bench.round()
        attempts = len(receiver.ids)
        clock.advance(pause - 0.001)
        bench.round()
        assert len(receiver.ids) == attempts, "too early"
        clock.advance(0.001)
    bench.round()
    assert receiver.ids == [kit.alert_id("a")] * 3
    assert (bench.count("retried"), bench.count("delivered")) == (2, 1)


def test_a_retraction_waits_until_its_alert_was_delivered(
    bench: Bench, outbox: Outbox, receiver: Any, clock: Any, kit: Any
) -> None:
    receiver.outcomes = [TryAgain("503")]
    outbox.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted")], ["webhook"], clock())
    for _ in range(3):
        bench.round()
        clock.advance(1)
    assert receiver.ids == [kit.alert_id("a"), kit.alert_id("a"), kit.alert_id("a") + "-2"]


def test_410_disables_the_receiver_and_keeps_what_is_due(
    bench: Bench, outbox: Outbox, receiver: Any, clock: Any, kit: Any
) -> None:
    receiver.outcomes = [Gone("it answered 410 Gone")]
    outbox.accept([kit.arrival(0, "a")], ["webhook"], clock())
    bench.round()
    outbox.accept([kit.arrival(1, "b")], ["webhook"], clock())
    clock.advance(3600)
    bench.round()
    assert receiver.ids == [kit.alert_id("a")]
    assert bench.count("gone") == 1
    bench.metrics.registry.register(OutboxCollector(outbox, clock))
    sample = bench.metrics.registry.get_sample_value
    assert sample("cardwatch_notifier_receiver_disabled", {"receiver": "webhook"}) == 1
    assert sample("cardwatch_notifier_outbox_messages", {"receiver": "webhook", "state": "pending"}) == 2
    assert sample("cardwatch_notifier_outbox_oldest_pending_seconds", {"receiver": "webhook"}) == 3600
    outbox.retry("webhook", clock())
    bench.round()
    assert receiver.ids == [kit.alert_id("a"), kit.alert_id("a"), kit.alert_id("b")]


def test_a_rejected_message_is_parked_and_released_by_hand(
    bench: Bench, outbox: Outbox, receiver: Any, clock: Any, kit: Any
) -> None:
    receiver.outcomes = [Rejected("400"), Rejected("400")]
    outbox.accept([kit.arrival(0, "a")], ["webhook"], clock())
    for _ in range(4):
        bench.round()
        clock.advance(60)
    assert len(receiver.ids) == 2
    assert bench.count("failed") == 1
    assert outbox.backlog()[0].failed == 1
    outbox.retry(None, clock())
    bench.round()
    assert bench.count("delivered") == 1


def test_a_defect_in_a_receiver_loses_nothing(
    bench: Bench, outbox: Outbox, receiver: Any, clock: Any, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(message: Message) -> Outcome:
        raise KeyError("a bug")

    outbox.accept([kit.arrival(0, "a")], ["webhook"], clock())
    with monkeypatch.context() as patch:
        patch.setattr(receiver, "deliver", broken)
        bench.round()
    clock.advance(1)
    bench.round()
    assert receiver.ids == [kit.alert_id("a")]


class SlowReceiver:
    """A receiver that takes some time for each message, and records how many it processed at once."""

    name, target, concurrency, deadline_seconds = "webhook", "there", 3, 10.0

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def deliver(self, message: Message) -> Outcome:
        with self._lock:
            self.ids.append(message.message_id)
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.01)
        with self._lock:
            self._now -= 1
        return Delivered()

    def close(self) -> None:
        """Nothing to let go of."""


def test_a_running_courier_works_on_several_messages_at_once_and_stops_cleanly(
    outbox: Outbox, clock: Any, kit: Any
) -> None:
    receiver = SlowReceiver()
    bench = Bench(outbox, receiver, clock, ThreadPoolExecutor(receiver.concurrency))
    bench.courier.start()
    outbox.accept([kit.arrival(offset, f"n{offset}") for offset in range(200)], ["webhook"], clock())
    bench.courier.wake()
    kit.wait_until(lambda: outbox.backlog()[0].delivered >= 50)
    bench.courier.stop()
    (backlog,) = outbox.backlog()
    assert backlog.pending > 0, "it stops without waiting for all that is due"
    assert backlog.delivered == len(receiver.ids), "what the receiver has, the outbox knows"
    assert receiver.most == 3
    rest = Bench(outbox, receiver, clock, ThreadPoolExecutor(receiver.concurrency))
    rest.courier.start()
    kit.wait_until(lambda: outbox.backlog()[0].pending == 0)
    rest.courier.stop()
    assert sorted(receiver.ids) == sorted(kit.alert_id(f"n{offset}") for offset in range(200))


def test_a_receiver_that_hangs_does_not_hold_up_another(outbox: Outbox, clock: Any, kit: Any) -> None:
    released = threading.Event()

    class Hanging(SlowReceiver):
        name = "stdout"

        def deliver(self, message: Message) -> Outcome:
            released.wait(10)
            return super().deliver(message)

    outbox.attach("stdout", "stdout", clock())
    hanging, quick = Hanging(), kit.FakeReceiver()
    benches = [Bench(outbox, receiver, clock, ThreadPoolExecutor(3)) for receiver in (hanging, quick)]
    for bench in benches:
        bench.courier.start()
    outbox.accept([kit.arrival(offset, f"n{offset}") for offset in range(50)], ["stdout", "webhook"], clock())
    for bench in benches:
        bench.courier.wake()
    kit.wait_until(lambda: len(quick.ids) == 50)
    assert hanging.ids == []
    released.set()
    kit.wait_until(lambda: len(hanging.ids) == 50)
    for bench in benches:
        bench.courier.stop()


@pytest.fixture
def hanging() -> Iterator[Any]:
    """A receiver whose attempts end when the test does."""
    released = threading.Event()

    class Hanging(SlowReceiver):
        def deliver(self, message: Message) -> Outcome:
            released.wait(30)
            return super().deliver(message)

    yield Hanging()
    released.set()


def test_health_notices_an_attempt_that_does_not_come_back(
    outbox: Outbox, clock: Any, kit: Any, hanging: SlowReceiver
) -> None:
    courier = Bench(outbox, hanging, clock, ThreadPoolExecutor(3)).courier
    couriers = Couriers([courier])
    health = NotifierReadiness(outbox, couriers)
    couriers.start(on_failure=lambda: None)
    outbox.accept([kit.arrival(0, "a")], ["webhook"], clock())
    courier.wake()
    assert health.unhealthy() == ""
    now = time.monotonic()
    kit.wait_until(lambda: couriers.problem(now=now + 3600, outbox_answers=False) != "")
    overdue = time.monotonic() + hanging.deadline_seconds + GRACE_SECONDS + 1
    problem = couriers.problem(now=overdue, outbox_answers=False)
    assert "an attempt to deliver to webhook began 2" in problem
    assert problem.endswith("s ago and has not ended; expected its end within 10 s")
    assert couriers.problem(now=now + hanging.deadline_seconds + GRACE_SECONDS - 1, outbox_answers=True) == ""


def test_the_health_endpoint_says_what_does_not_come_back(
    outbox: Outbox, clock: Any, kit: Any, hanging: SlowReceiver
) -> None:
    hanging.deadline_seconds = 0.2 - GRACE_SECONDS  # overdue after 0.2 s
    bench = Bench(outbox, hanging, clock, ThreadPoolExecutor(3))
    couriers = Couriers([bench.courier])
    endpoint = HealthEndpoint(bench.metrics.registry, healthy=NotifierReadiness(outbox, couriers).unhealthy)
    endpoint.start()
    outbox.accept([kit.arrival(0, "a")], ["webhook"], clock())
    couriers.start(on_failure=lambda: None)
    try:
        kit.wait_until(lambda: _health(endpoint).text.startswith("an attempt to deliver to webhook began "))
        assert _health(endpoint).status_code == 503
    finally:
        endpoint.stop()


def _health(endpoint: HealthEndpoint) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{endpoint.port}/healthz", trust_env=False)


def test_an_attempt_that_ended_is_not_overdue(bench: Bench, outbox: Outbox, clock: Any, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a")], ["webhook"], clock())
    bench.round()
    assert bench.courier.watch.attempt_problem(time.monotonic() + 3600) == ""


def test_health_notices_a_courier_whose_thread_does_not_come_back(
    outbox: Outbox, clock: Any, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, released = threading.Event(), threading.Event()

    def stuck(*_: object) -> None:
        reached.set()
        released.wait(30)

    monkeypatch.setattr(outbox, "next_due_at", stuck)
    couriers = Couriers([Bench(outbox, kit.FakeReceiver(), clock, ThreadPoolExecutor(1)).courier])
    couriers.start(on_failure=lambda: None)
    assert reached.wait(10)
    now = time.monotonic()
    problem = couriers.problem(now=now + 10 + GRACE_SECONDS + 1, outbox_answers=True)
    assert problem.startswith("the courier of webhook has not looked at the outbox for 2")
    assert couriers.problem(now=now + 10 + GRACE_SECONDS + 1, outbox_answers=False) == "", "it waits for the outbox"
    assert couriers.problem(now=now + GRACE_SECONDS, outbox_answers=True) == ""
    released.set()
    couriers.stop()


def test_health_notices_a_courier_that_has_ended(outbox: Outbox, clock: Any, kit: Any) -> None:
    couriers = Couriers([Bench(outbox, kit.FakeReceiver(), clock, ThreadPoolExecutor(1)).courier])
    couriers.start(on_failure=lambda: None)
    assert NotifierReadiness(outbox, couriers).unhealthy() == ""
    couriers.stop()
    assert NotifierReadiness(outbox, couriers).unhealthy() == "a receiver's courier has ended"


def test_a_courier_that_cannot_write_the_outbox_reports_the_failure_and_ends(
    outbox: Outbox, clock: Any, kit: Any
) -> None:
    told = threading.Event()
    courier = Courier(
        outbox,
        kit.FakeReceiver(),
        POLICY,
        ThreadPoolExecutor(1),
        NotifierMetrics(Metrics(), "webhook"),
        clock,
    )
    outbox.close()
    courier.start(on_failure=told.set)
    assert told.wait(10)
    assert courier.failure is not None


def test_deliveries_are_counted_from_zero() -> None:
    # Prometheus's increase() misses the first value of a new series, such as 40.
    shared = Metrics()
    NotifierMetrics(shared, "webhook", receivers=["stdout", "webhook"])
    for receiver in ("stdout", "webhook"):
        for outcome in ("delivered", "retried", "failed", "gone"):
            labels = {"receiver": receiver, "outcome": outcome}
            assert shared.registry.get_sample_value(DELIVERIES_TOTAL, labels) == 0, labels
