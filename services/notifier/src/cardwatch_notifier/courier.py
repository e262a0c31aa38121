"""Carries messages from the outbox to one receiver. Each receiver has its own, so none waits for another."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from cardwatch_service.logs import get as get_logger

from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox import Attempt, Delivery, DeliveryState, Outbox
from cardwatch_notifier.policy import DeliveryPolicy
from cardwatch_notifier.receiver import Delivered, Gone, Outcome, Receiver, TryAgain

log = get_logger(__name__)

# Handed to the receiver's threads ahead of time, so that they work on while outcomes are synced to the disk.
_AHEAD: Final = 64
_AHEAD_PER_THREAD: Final = 8
# Work that another process released (`outbox retry`) is seen at the latest after this.
_LOOK_AROUND_SECONDS: Final = 2.0
_MICROS: Final = 1_000_000


class _Result(NamedTuple):
    delivery: Delivery
    outcome: Outcome
    at: int


class Courier:
    """Sends what is due to one receiver and keeps what came of it.

    ``executor`` runs the receiver's ``deliver``; ``clock`` tells microseconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        outbox: Outbox,
        receiver: Receiver,
        policy: DeliveryPolicy,
        executor: Executor,
        metrics: NotifierMetrics,
        clock: Callable[[], int],
        random: Callable[[], float],
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._outbox = outbox
        self._receiver = receiver
        self._policy = policy
        self._executor = executor
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._on_failure = on_failure
        self._capacity = max(_AHEAD, receiver.concurrency * _AHEAD_PER_THREAD)
        self._in_flight: set[int] = set()
        self._events: SimpleQueue[_Result | None] = SimpleQueue()  # None: look at the outbox
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"courier-{receiver.name}", daemon=True)
        self.failure: BaseException | None = None

    @property
    def alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin, with what an earlier run left in the outbox."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._events.put(None)

    def stop(self) -> None:
        """Finish what is being delivered at this moment, keep its outcome, and end."""
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._receiver.close()

    def send_due(self) -> None:
        """Hand over what is due, as far as the receiver can take it."""
        # Refilled by halves: each look at the outbox reads what is in flight as well.
        if len(self._in_flight) > self._capacity // 2 or self._outbox.disabled_reason(self._receiver.name):
            return
        for delivery in self._outbox.due(self._receiver.name, self._clock(), self._capacity):
            if delivery.message.sequence not in self._in_flight and len(self._in_flight) < self._capacity:
                self._in_flight.add(delivery.message.sequence)
                self._executor.submit(self._deliver, delivery)

    def keep_outcomes(self, wait_seconds: float = 0.0) -> None:
        """Write what came back to the outbox, all of it in one go; wait for something to come first."""
        results: list[_Result] = []
        try:
            event = self._events.get(timeout=wait_seconds) if wait_seconds > 0 else self._events.get_nowait()
            while True:
                if event is not None:
                    results.append(event)
                event = self._events.get_nowait()
        except Empty:
            pass
        if not results:
            return
        attempts = [self._policy.judge(result.delivery, result.outcome, result.at, self._random) for result in results]
        for result in results:
            if isinstance(result.outcome, Gone) and not self._outbox.disabled_reason(self._receiver.name):
                self._disable(result.outcome.why)
        self._outbox.record(self._receiver.name, attempts)
        for result, attempt in zip(results, attempts, strict=True):
            self._in_flight.discard(attempt.sequence)
            self._tell(result, attempt)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.send_due()
                self.keep_outcomes(self._patience())
            self._executor.shutdown(wait=True, cancel_futures=True)
            self.keep_outcomes()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must end and say so
            self.failure = error
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._on_failure()

    def _patience(self) -> float:
        """Seconds until there may be something to send although nothing woke us."""
        now = self._clock()
        next_due_at = self._outbox.next_due_at(self._receiver.name, now)
        if next_due_at is None:
            return _LOOK_AROUND_SECONDS
        return min(max((next_due_at - now) / _MICROS, 0.001), _LOOK_AROUND_SECONDS)

    def _deliver(self, delivery: Delivery) -> None:
        try:
            outcome = self._receiver.deliver(delivery.message)
        except Exception as error:
            # A defect of the receiver's code: the message is kept and tried again like any other.
            log.exception("receiver failed", receiver=self._receiver.name, message_id=delivery.message.message_id)
            outcome = TryAgain(f"internal error: {type(error).__name__}")
        self._events.put(_Result(delivery, outcome, self._clock()))

    def _disable(self, why: str) -> None:
        self._outbox.disable(self._receiver.name, why, self._clock())
        log.error(
            "receiver disabled: nothing is sent to it until its address changes or `cardwatch-notifier outbox retry`",
            receiver=self._receiver.name,
            reason=why,
        )

    def _tell(self, result: _Result, attempt: Attempt) -> None:
        message = result.delivery.message
        if isinstance(result.outcome, Delivered):
            self._metrics.delivered(self._receiver.name, message, result.at)
            return
        failed = attempt.state is DeliveryState.FAILED
        kind = "failed" if failed else "gone" if isinstance(result.outcome, Gone) else "retried"
        self._metrics.not_delivered(self._receiver.name, kind)
        report = log.error if failed else log.warning
        report(
            "delivery given up: see `cardwatch-notifier outbox retry`" if failed else "delivery did not succeed",
            receiver=self._receiver.name,
            message_id=message.message_id,
            attempts=result.delivery.attempts + 1,
            reason=attempt.error,
            next_attempt_in_seconds=None if failed else round((attempt.next_attempt_at - attempt.at) / _MICROS, 1),
        )
