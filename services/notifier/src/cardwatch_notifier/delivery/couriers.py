"""The couriers of all receivers, started and stopped together."""

from collections.abc import Callable, Sequence
from typing import Final

from cardwatch_notifier.delivery.courier import Courier


class Couriers:
    """One courier per receiver."""

    def __init__(self, couriers: Sequence[Courier]) -> None:
        self._couriers: Final = tuple(couriers)

    @property
    def alive(self) -> bool:
        """Whether all of them run."""
        return all(courier.alive for courier in self._couriers)

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
