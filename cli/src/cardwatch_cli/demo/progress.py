"""How far the services of a pipeline are: ready or not, and their positions against the end offsets of the topics."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER
from cardwatch_kafka.range_reader import RangeReader

from cardwatch_cli.demo.service_process import ServiceProcess
from cardwatch_cli.demo.services import LAKEHOUSE, NOTIFIER
from cardwatch_cli.demo.topics import count_messages

OUTBOX_PENDING: Final = "cardwatch_notifier_outbox_messages"

_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Progress:
    """Messages appended to the topics, alerts delivered, and messages not processed yet (the lakehouse's excluded)."""

    produced: int
    silver: int
    alerts: int
    delivered: int
    lag: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a service still has to process.

    Attributes:
        count: asks how much that is now.
        unit: what is counted, such as ``messages``.
    """

    service: ServiceProcess
    count: Callable[[ServiceProcess], int]
    unit: str


class PipelineProgress:
    """Measures the progress of services, and waits until they have processed everything."""

    def __init__(self, services: Mapping[str, ServiceProcess], topics: RangeReader, topic_prefix: str) -> None:
        self._services: Final = services
        self._topics: Final = topics
        self._topic_prefix: Final = topic_prefix

    def measure(self, delivered: int) -> Progress:
        """The progress at this moment.

        Args:
            delivered: how many alerts the webhook has received.
        """
        prefix = self._topic_prefix
        return Progress(
            produced=count_messages(self._topics, TRANSACTIONS_RAW.name(prefix), TRANSACTIONS_JSON.name(prefix)),
            silver=count_messages(self._topics, TRANSACTIONS_SILVER.name(prefix)),
            alerts=count_messages(self._topics, ALERTS.name(prefix)),
            delivered=delivered,
            lag=sum(self.lag(service) for name, service in self._services.items() if name != LAKEHOUSE),
        )

    def lag(self, service: ServiceProcess) -> int:
        """Messages that a service has not safely processed.

        A partition whose position it does not report counts from the beginning.
        """
        ends = self._topics.end_offsets(*(topic.name(self._topic_prefix) for topic in service.definition.reads))
        positions = service.probe.positions()
        return sum(max(0, end - positions.get(partition, 0)) for partition, end in ends.items())

    def wait_until_drained(self, stall_seconds: float, on_wait: Callable[[str, int], None]) -> None:
        """Wait until every service has processed everything that was produced, in the order of the data flow.

        A service's position passes a message only when its output for the message is stored downstream. So once a
        service has reached the end of its input, the end of its output is final.

        Args:
            stall_seconds: give up after this long without any progress.
            on_wait: called with the name of the service that is waited for, and how much it still has to process.

        Raises:
            CardwatchError: a service stopped or makes no progress; the message names it and what is left.
        """
        for name, service in self._services.items():
            self._wait_until_empty(Backlog(service, self.lag, "messages"), stall_seconds, on_wait)
            if name == NOTIFIER:
                self._wait_until_empty(Backlog(service, _outbox_pending, "undelivered alerts"), stall_seconds, on_wait)

    def _wait_until_empty(self, backlog: Backlog, stall_seconds: float, on_wait: Callable[[str, int], None]) -> None:
        service = backlog.service
        least: int | None = None
        deadline = time.monotonic() + stall_seconds
        while (left := backlog.count(service)) > 0:
            check_alive(self._services)
            if least is None or left < least:
                least, deadline = left, time.monotonic() + stall_seconds
            if time.monotonic() > deadline:
                raise CardwatchError(
                    f"the {service.name} still has {left} {backlog.unit} to process and made no progress for "
                    f"{stall_seconds:.0f} s (log: {service.log_path})"
                )
            on_wait(service.name, left)
            time.sleep(_POLL_SECONDS)


def wait_until_ready(
    awaited: Mapping[str, ServiceProcess],
    check_alive: Callable[[], None],
    timeout_seconds: float,
    on_change: Callable[[Mapping[str, str]], None],
) -> None:
    """Wait until services report that they are ready.

    Args:
        awaited: the services, by name.
        check_alive: called before each round; raises an error if a service has stopped.
        on_change: called with the services that are not ready yet and why, whenever that changes.

    Raises:
        CardwatchError: a service is not ready in time.
    """
    deadline = time.monotonic() + timeout_seconds
    shown: dict[str, str] | None = None
    with ThreadPoolExecutor(len(awaited)) as pool:
        while True:
            check_alive()
            reasons = pool.map(lambda service: service.probe.not_ready_because(), awaited.values())
            waiting = {name: reason for name, reason in zip(awaited, reasons, strict=True) if reason}
            if waiting != shown:
                on_change(waiting)
                shown = waiting
            if not waiting:
                return
            if time.monotonic() > deadline:
                name, reason = next(iter(waiting.items()))
                raise CardwatchError(
                    f"the {name} is not ready after {timeout_seconds:.0f} s: {reason} (log: {awaited[name].log_path})"
                )
            time.sleep(_POLL_SECONDS)


def check_alive(services: Mapping[str, ServiceProcess]) -> None:
    """Check that no service has ended that was started.

    Raises:
        CardwatchError: one has.
    """
    for service in services.values():
        if service.started:
            service.check_alive()


def _outbox_pending(notifier: ServiceProcess) -> int:
    """Alerts in the notifier's outbox; 1 while the notifier does not answer."""
    pending = notifier.probe.value(OUTBOX_PENDING)
    return 1 if pending is None else int(pending)
