"""Carries messages from the outbox to one receiver. Each receiver has its own courier, so none waits for another."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from cardwatch_service.logs import get_logger
from cardwatch_service.retry import Deadline, StoppedError
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

from cardwatch_notifier.delivery.courier_watch import CourierWatch
from cardwatch_notifier.delivery.policy import DeliveryPolicy
from cardwatch_notifier.delivery.receiver import Delivered, Gone, Outcome, Receiver, TryAgain
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import Attempt, Delivery, DeliveryState, Outbox
from cardwatch_notifier.wait_for_dependency import wait_for_dependency

log = get_logger(__name__)

# Deliveries queued for the receiver's threads, so that they work on while outcomes are synced to the disk.
_MIN_QUEUED: Final = 64
_QUEUED_PER_THREAD: Final = 8
# Work that another process released (`outbox retry`) or left behind is seen at the latest after this.
_MAX_POLL_SECONDS: Final = 2.0
# Fractions of a lease. An attempt is begun only while so much of its lease is left that it ends before the lease does.
_MIN_LEASE_LEFT: Final = 0.5
_RENEW_INTERVAL: Final = 0.25
_MAX_POLL_INTERVAL: Final = 0.125
_DRAIN_SECONDS: Final = 5.0


class _Result(NamedTuple):
    delivery: Delivery
    outcome: Outcome | None  # None: not attempted, the lease was about to run out
    at: int


@dataclass(slots=True)
class _Lease:
    """A delivery that is leased to this courier.

    Attributes:
        until: when another notifier may take it over at the earliest, ``time.monotonic``.
        future: the attempt, running or queued.
    """

    message_id: str
    until: float
    future: Future[None] | None = None


class Courier:
    """Sends what is due to one receiver and records the outcomes.

    ``executor`` runs the receiver's ``deliver``; ``clock`` returns microseconds since 1970-01-01 UTC.

    Attributes:
        failure: the error that ended the courier, or None.
        watch: what the courier waits for, and since when.
    """

    def __init__(
        self,
        outbox: Outbox,
        receiver: Receiver,
        policy: DeliveryPolicy,
        executor: Executor,
        metrics: NotifierMetrics,
        clock: Callable[[], int],
    ) -> None:
        self._outbox = outbox
        self._receiver = receiver
        self._policy = policy
        self._executor = executor
        self._metrics = metrics
        self._clock = clock
        self._capacity = max(_MIN_QUEUED, receiver.concurrency * _QUEUED_PER_THREAD)
        self._leases: dict[int, _Lease] = {}
        self._renew_at = 0.0  # time.monotonic
        self._inbox: SimpleQueue[_Result | None] = SimpleQueue()  # None: look at the outbox
        self._unrecorded: list[tuple[_Result, Attempt]] = []
        self._not_attempted: list[int] = []
        self.watch: Final = CourierWatch(receiver.name, receiver.deadline_seconds)
        self._stopping = Shutdown()
        self._drain_seconds = _DRAIN_SECONDS
        self._on_failure: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name=f"courier-{receiver.name}", daemon=True)
        self.failure: BaseException | None = None

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self, on_failure: Callable[[], None] = lambda: None) -> None:
        """Start the thread, with what an earlier run left in the outbox.

        ``on_failure`` is called from the thread if an error ends it; ``failure`` is that error.
        """
        self._on_failure = on_failure
        self._thread.start()

    def wake(self) -> None:
        """Look at the outbox now: there is something new in it."""
        self._inbox.put(None)

    def begin_stop(self) -> None:
        """Begin no more attempts."""
        self._stopping.request()
        self.wake()

    def stop(self, drain_seconds: float = _DRAIN_SECONDS) -> None:
        """Finish the attempts that are running, record their outcomes, release the other leases, and end.

        ``drain_seconds``: how long to wait for an outbox that does not answer to record the last outcomes.
        """
        self._drain_seconds = drain_seconds
        self.begin_stop()
        if self._thread.ident is not None:
            self._thread.join()
        self._receiver.close()

    def send_due(self) -> None:
        """Submit what is due to the receiver's threads, up to the courier's capacity.

        Raises:
            OutboxUnavailableError: nothing was submitted.
        """
        # Refilled by halves: each look at the outbox passes over what is leased already.
        if len(self._leases) > self._capacity // 2:
            return
        asked_at = time.monotonic()
        if not self._leases:
            self._renew_at = asked_at + _RENEW_INTERVAL * self._outbox.lease_seconds
        for delivery in self._outbox.lease(self._receiver.name, self._clock(), self._capacity - len(self._leases)):
            until = asked_at + self._outbox.lease_seconds
            message = delivery.message
            lease = self._leases.get(message.sequence)
            if lease is not None and lease.message_id == message.message_id:
                # The lease ran out while the outbox did not answer, and was leased to us again; the attempt is still
                # running.
                lease.until = until
                continue
            if lease is not None:
                # The outbox was restored and reuses sequence numbers: the running attempt is for another message.
                self._outbox.release(self._receiver.name, [message.sequence])
                continue
            lease = self._leases[message.sequence] = _Lease(message.message_id, until)
            lease.future = self._executor.submit(self._deliver, delivery, lease)

    def renew_leases(self) -> None:
        """Extend the leases of what is queued or running, once a quarter of their time has passed.

        Raises:
            OutboxUnavailableError: the leases keep their ends.
        """
        now = time.monotonic()
        if not self._leases or now < self._renew_at:
            return
        still_ours = self._outbox.renew(self._receiver.name, list(self._leases))
        for sequence, lease in self._leases.items():
            lease.until = now + self._outbox.lease_seconds if sequence in still_ours else now
        self._renew_at = now + _RENEW_INTERVAL * self._outbox.lease_seconds

    def record_outcomes(self, wait_seconds: float = 0.0) -> None:
        """Write the outcomes that have come in to the outbox, in one transaction; wait for one to come in first.

        Raises:
            OutboxUnavailableError: the outcomes are kept in memory; call this again.
        """
        self._collect(wait_seconds)
        name = self._receiver.name
        if self._not_attempted:
            self._outbox.release(name, self._not_attempted)
            for sequence in self._not_attempted:
                del self._leases[sequence]
            self._not_attempted.clear()
        if not self._unrecorded:
            return
        for result, _ in self._unrecorded:
            if isinstance(result.outcome, Gone):
                self._disable(result.outcome.why)
        recorded = self._outbox.record(name, [attempt for _, attempt in self._unrecorded])
        lost = len(self._unrecorded) - recorded
        if lost:
            log.warning(
                "another notifier took over deliveries and sends them again with the same message ids", deliveries=lost
            )
        for result, attempt in self._unrecorded:
            del self._leases[attempt.sequence]
            self._report(result, attempt)
        self._unrecorded.clear()

    def _run(self) -> None:
        try:
            while not self._stopping.requested:
                with suppress(StoppedError):
                    wait_for_dependency("outbox", self._round, stop=self._stopping, metrics=self._metrics)
            self._drain()
        except BaseException as error:  # noqa: BLE001 - after any error the process must end and report it
            self.failure = error
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._on_failure()

    def _round(self) -> None:
        self.watch.round_begins()
        self.send_due()
        self.renew_leases()
        self.record_outcomes(self._seconds_until_due())

    def _drain(self) -> None:
        """Cancel the attempts that have not begun, wait for the running ones, and record all outcomes."""
        not_begun = [sequence for sequence, lease in self._leases.items() if lease.future and lease.future.cancel()]
        # No longer than half a lease.
        self._executor.shutdown(wait=True)
        self._not_attempted.extend(not_begun)
        try:
            wait_for_dependency(
                "outbox", self.record_outcomes, stop=Deadline(self._drain_seconds), metrics=self._metrics
            )
        except StoppedError:
            log.warning(
                "stopped before the outbox recorded the last deliveries; they are repeated with the same message ids",
                receiver=self._receiver.name,
                deliveries=len(self._unrecorded),
            )

    def _seconds_until_due(self) -> float:
        """Seconds until something may be due although nothing wakes the courier."""
        now = self._clock()
        next_due_at = self._outbox.next_due_at(self._receiver.name, now)
        longest = min(_MAX_POLL_SECONDS, _MAX_POLL_INTERVAL * self._outbox.lease_seconds)
        if next_due_at is None:
            return longest
        return min(max((next_due_at - now) / MICROSECONDS_PER_SECOND, 0.001), longest)

    def _deliver(self, delivery: Delivery, lease: _Lease) -> None:
        outcome: Outcome | None = None
        if lease.until - time.monotonic() >= _MIN_LEASE_LEFT * self._outbox.lease_seconds:
            try:
                with self.watch.attempt():
                    outcome = self._receiver.deliver(delivery.message)
            except Exception as error:
                # A defect of the receiver's code: the message stays in the outbox and is tried again like any other.
                log.exception("receiver failed", receiver=self._receiver.name, message_id=delivery.message.message_id)
                outcome = TryAgain(f"internal error: {type(error).__name__}")
        self._inbox.put(_Result(delivery, outcome, self._clock()))

    def _collect(self, wait_seconds: float) -> None:
        """Take the results that have come in out of the queue, and decide what each means."""
        try:
            event = self._inbox.get(timeout=wait_seconds) if wait_seconds > 0 else self._inbox.get_nowait()
            while True:
                if event is not None:
                    self._decide(event)
                event = self._inbox.get_nowait()
        except Empty:
            pass

    def _decide(self, result: _Result) -> None:
        if result.outcome is None:
            self._not_attempted.append(result.delivery.message.sequence)
        else:
            attempt = self._policy.decide(result.delivery, result.outcome, result.at)
            self._unrecorded.append((result, attempt))

    def _disable(self, why: str) -> None:
        if not self._outbox.disable(self._receiver.name, why, self._clock()):
            return
        log.error(
            "receiver disabled: nothing is sent to it until its address changes or `cardwatch-notifier outbox retry`",
            receiver=self._receiver.name,
            reason=why,
        )

    def _report(self, result: _Result, attempt: Attempt) -> None:
        message = result.delivery.message
        if isinstance(result.outcome, Delivered):
            self._metrics.delivered(self._receiver.name, message, result.at)
            return
        failed = attempt.state is DeliveryState.FAILED
        kind = "failed" if failed else "gone" if isinstance(result.outcome, Gone) else "retried"
        self._metrics.not_delivered(self._receiver.name, kind)
        report = log.error if failed else log.warning
        report(
            "delivery parked: see `cardwatch-notifier outbox retry`" if failed else "delivery did not succeed",
            receiver=self._receiver.name,
            message_id=message.message_id,
            attempts=result.delivery.attempts + 1,
            reason=attempt.error,
            next_attempt_in_seconds=None
            if failed
            else round((attempt.next_attempt_at - attempt.at) / MICROSECONDS_PER_SECOND, 1),
        )
