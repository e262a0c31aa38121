"""The loop that both commands share: each thing at its time, until there is no more or a stop is asked for."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from cardwatch_contracts.topics import Topic

from cardwatch_producer.messages import Headers, Outgoing


class Timed(Protocol):
    """Something with a time at which it is to be sent."""

    @property
    def send_at(self) -> float:
        """Seconds after the start."""


class Sink(Protocol):
    """Where messages go."""

    def send(self, topic: Topic, key: bytes, value: bytes | None, headers: Headers | None = None) -> None:
        """Hand over one message; it is not lost from here on."""


class Waiter(Protocol):
    """What ``pacing.Pacer`` does."""

    def until(self, offset: float) -> bool:
        """Wait until so many seconds after the start; False if a stop was asked for meanwhile."""


T = TypeVar("T", bound=Timed)


def send_all(
    items: Iterable[T],
    *,
    encode: Callable[[T], list[Outgoing]],
    sink: Sink,
    pacer: Waiter,
    stopped: Callable[[], bool],
    sent: Callable[[T], None],
) -> bool:
    """Send everything; False if it was stopped before the end. ``sent`` is called after each item."""
    for item in items:
        if stopped() or not pacer.until(item.send_at):
            return False
        for outgoing in encode(item):
            sink.send(*outgoing)
        sent(item)
    return True
