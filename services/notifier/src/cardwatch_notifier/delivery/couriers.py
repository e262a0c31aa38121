"""The couriers of all receivers, started and stopped together."""

from collections.abc import Callable, Sequence
from typing import Final

from cardwatch_notifier.delivery.courier import Courier


class Couriers:
    """One courier per receiver."""

    def __init__(self, couriers: Sequence[Courier]) -> None:
        self._couriers: Final = tuple(couriers)

    def problem(self, *, now: float, outbox_answers: bool) -> str:
        """Why a restart would help one of them, one sentence; empty where it would not.

        Args:
            now: ``time.monotonic``.
            outbox_answers: a courier that waits for its outbox goes on by itself once that answers.
        """
        for courier in self._couriers:
            if not courier.alive:
                return "a receiver's courier has ended"
            if problem := courier.watch.attempt_problem(now):
                return problem
            if outbox_answers and (problem := courier.watch.thread_problem(now)):
                return problem
        return ""

    @property
    def failure(self) -> BaseException | None:
        """The error that ended one of them, or None."""
        return next((courier.failure for courier in self._couriers if courier.failure is not None), None)

    def start(self, on_failure: Callable[[], None]) -> None:
        """Start them; ``on_failure`` is called from a courier's thread if an error ends it."""
        for courier in self._couriers:
            courier.start(on_failure)

    def wake(self) -> None:
        """Have them look at the outbox now."""
        for courier in self._couriers:
            courier.wake()

    def stop(self) -> None:
        """Stop them: none begins another attempt while the others finish theirs."""
        for courier in self._couriers:
            courier.begin_stop()
        for courier in reversed(self._couriers):
            courier.stop()
