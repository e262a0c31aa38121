"""Carries messages from the outbox to one receiver. Each receiver has its own, so none waits for another."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from cardwatch_service.logs import get as get_logger
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

from cardwatch_notifier.delivery.policy import DeliveryPolicy
from cardwatch_notifier.delivery.receiver import Delivered, Gone, Outcome, Receiver, TryAgain
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import Attempt, Delivery, DeliveryState, Outbox
from cardwatch_notifier.patience import Deadline, patiently

log = get_logger(__name__)

# Handed to the receiver's threads ahead of time, so that they work on while outcomes are synced to the disk.
_AHEAD: Final = 64
_AHEAD_PER_THREAD: Final = 8
# Work that another process released (`outbox retry`) or left behind is seen at the latest after this.
_LOOK_AROUND_SECONDS: Final = 2.0
# Of a lease: an attempt is begun only while this much of it is left, so that it ends before the lease does.
_LEAST_LEFT: Final = 0.5
_RENEW_EVERY: Final = 0.25
_LOOK_AROUND_WITHIN_LEASE: Final = 0.125
# After a stop, how long an outbox that does not answer is waited for to keep the last outcomes.
_LAST_WORDS_SECONDS: Final = 5.0


class _Result(NamedTuple):
    delivery: Delivery
    outcome: Outcome | None  # None: not attempted, the lease was about to run out
    at: int


@dataclass(slots=True)
class _Lease:
    """A delivery that is this courier's for now.

    Attributes:
        until: when another may take it over at the earliest, ``time.monotonic``.
        future: the attempt, under way or to come.
    """

    message_id: str
    until: float
    future: Future[None] | None = None


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
        self._leases: dict[int, _Lease] = {}
        self._renew_at = 0.0  # time.monotonic
        self._events: SimpleQueue[_Result | None] = SimpleQueue()  # None: look at the outbox
        self._unkept: list[tuple[_Result, Attempt]] = []
        self._abandoned: list[int] = []
        self._stopping = Shutdown()
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

    def begin_stop(self) -> None:
        """Begin no more attempts."""
        self._stopping.request()
        self.wake()

    def stop(self) -> None:
        """Finish what is being delivered at this moment, keep its outcome, give back the rest, and end."""
        self.begin_stop()
        if self._thread.ident is not None:
            self._thread.join()
        self._receiver.close()

    def send_due(self) -> None:
        """Hand over what is due, as far as the receiver can take it.

        Raises:
            OutboxUnavailableError: nothing was handed over.
        """
        # Refilled by halves: each look at the outbox passes over what is under way.
        if len(self._leases) > self._capacity // 2:
            return
        asked_at = time.monotonic()
        if not self._leases:
            self._renew_at = asked_at + _RENEW_EVERY * self._outbox.lease_seconds
        for delivery in self._outbox.lease(self._receiver.name, self._clock(), self._capacity - len(self._leases)):
            until = asked_at + self._outbox.lease_seconds
            message = delivery.message
            held = self._leases.get(message.sequence)
            if held is not None and held.message_id == message.message_id:
                # It ran out while the outbox did not answer, and is ours again; the attempt is still under way.
                held.until = until
                continue
            if held is not None:
                # The outbox went back, and numbers on from there: what is under way was another message.
                self._outbox.release(self._receiver.name, [message.sequence])
                continue
            lease = self._leases[message.sequence] = _Lease(message.message_id, until)
            lease.future = self._executor.submit(self._deliver, delivery, lease)

    def renew_leases(self) -> None:
        """Keep what is under way from being taken for left behind.

        Raises:
            OutboxUnavailableError: the leases run on as they were.
        """
        now = time.monotonic()
        if not self._leases or now < self._renew_at:
            return
        held = self._outbox.renew(self._receiver.name, list(self._leases))
        for sequence, lease in self._leases.items():
            lease.until = now + self._outbox.lease_seconds if sequence in held else now
        self._renew_at = now + _RENEW_EVERY * self._outbox.lease_seconds

    def keep_outcomes(self, wait_seconds: float = 0.0) -> None:
        """Write what came back to the outbox, all of it in one go; wait for something to come first.

        Raises:
            OutboxUnavailableError: it is kept in memory; call this again.
        """
        self._collect(wait_seconds)
        name = self._receiver.name
        if self._abandoned:
            self._outbox.release(name, self._abandoned)
            for sequence in self._abandoned:
                del self._leases[sequence]
            self._abandoned.clear()
        if not self._unkept:
            return
        for result, _ in self._unkept:
            if isinstance(result.outcome, Gone):
                self._disable(result.outcome.why)
        kept = self._outbox.record(name, [attempt for _, attempt in self._unkept])
        if kept < len(self._unkept):
            log.warning("leases were taken over: made again, under the same ids", deliveries=len(self._unkept) - kept)
        for result, attempt in self._unkept:
            del self._leases[attempt.sequence]
            self._tell(result, attempt)
        self._unkept.clear()

    def _run(self) -> None:
        try:
            while not self._stopping.requested:
                patiently(self._stopping, self._metrics, "outbox", self._round)
            self._wind_up()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must end and say so
            self.failure = error
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._on_failure()

    def _round(self) -> None:
        self.send_due()
        self.renew_leases()
        self.keep_outcomes(self._patience())

    def _wind_up(self) -> None:
        unbegun = [sequence for sequence, lease in self._leases.items() if lease.future and lease.future.cancel()]
        # No longer than half a lease.
        self._executor.shutdown(wait=True)
        self._abandoned.extend(unbegun)

        def last_words() -> bool:
            self.keep_outcomes()
            return True

        if patiently(Deadline(_LAST_WORDS_SECONDS), self._metrics, "outbox", last_words) is None:
            log.warning(
                "the outbox does not answer: the last deliveries are made again, under the same ids",
                receiver=self._receiver.name,
                deliveries=len(self._unkept),
            )

    def _patience(self) -> float:
        """Seconds until there may be something to do although nothing woke us."""
        now = self._clock()
        next_due_at = self._outbox.next_due_at(self._receiver.name, now)
        longest = min(_LOOK_AROUND_SECONDS, _LOOK_AROUND_WITHIN_LEASE * self._outbox.lease_seconds)
        if next_due_at is None:
            return longest
        return min(max((next_due_at - now) / MICROSECONDS_PER_SECOND, 0.001), longest)

    def _deliver(self, delivery: Delivery, lease: _Lease) -> None:
        outcome: Outcome | None = None
        if lease.until - time.monotonic() >= _LEAST_LEFT * self._outbox.lease_seconds:
            try:
                outcome = self._receiver.deliver(delivery.message)
            except Exception as error:
                # A defect of the receiver's code: the message is kept and tried again like any other.
                log.exception("receiver failed", receiver=self._receiver.name, message_id=delivery.message.message_id)
                outcome = TryAgain(f"internal error: {type(error).__name__}")
        self._events.put(_Result(delivery, outcome, self._clock()))

    def _collect(self, wait_seconds: float) -> None:
        """Take what came back out of the queue."""
        try:
            event = self._events.get(timeout=wait_seconds) if wait_seconds > 0 else self._events.get_nowait()
            while True:
                if event is not None:
                    self._judge(event)
                event = self._events.get_nowait()
        except Empty:
            pass

    def _judge(self, result: _Result) -> None:
        if result.outcome is None:
            self._abandoned.append(result.delivery.message.sequence)
        else:
            attempt = self._policy.judge(result.delivery, result.outcome, result.at, self._random)
            self._unkept.append((result, attempt))

    def _disable(self, why: str) -> None:
        if not self._outbox.disable(self._receiver.name, why, self._clock()):
            return
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
            next_attempt_in_seconds=None
            if failed
            else round((attempt.next_attempt_at - attempt.at) / MICROSECONDS_PER_SECOND, 1),
        )
