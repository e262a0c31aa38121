"""The loop that both commands share: it sends each item at its time, until the last one or until it is stopped."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from cardwatch_kafka.messages import OutgoingMessage


class Timed(Protocol):
    """An item that has a time at which it is sent."""

    @property
    def send_at(self) -> float:
        """Seconds after the start."""


class Sink(Protocol):
    """Where messages go."""

    def send(self, message: OutgoingMessage) -> None:
        """Accept one message; it is not lost from here on."""


class Waiter(Protocol):
    """What ``pacing.Pacer`` does."""

    def until(self, offset: float) -> bool:
        """Wait until that many seconds after the start; False if a stop was requested meanwhile."""


T = TypeVar("T", bound=Timed)


def send_all(
    items: Iterable[T],
    *,
    encode: Callable[[T], list[OutgoingMessage]],
    sink: Sink,
    pacer: Waiter,
    stopped: Callable[[], bool],
    sent: Callable[[T], None],
) -> bool:
    """Send everything; False if it was stopped before the end. ``sent`` is called after each item."""
    for item in items:
        if stopped() or not pacer.until(item.send_at):
            return False
        for message in encode(item):
            sink.send(message)
        sent(item)
    return True
