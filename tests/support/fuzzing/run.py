"""Sends fuzzed messages to running services, measures their memory, and waits until all are processed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import psutil
from cardwatch_contracts.topics import Topic

from support.fuzzing.kinds import FuzzedMessage, Kind, fuzzed_messages
from support.fuzzing.timestamps import message_timestamps
from support.kafka import KafkaTopics
from support.memory import resident_bytes
from support.processes import ServiceProcess

_SAMPLE_SECONDS: Final = 0.5
_MESSAGES_BETWEEN_SAMPLES: Final = 200
# A topic's messages that are not processed yet: more would only fill the broker.
_MAX_BEHIND: Final = 5_000
_MB: Final = 1024 * 1024


@dataclass
class Memory:
    """What a service with all its processes had, MB, in the order of time."""

    samples: list[float] = field(default_factory=list)

    def thirds(self) -> tuple[float, float]:
        """The medians of the second and of the last third; in the first a process fills its caches."""
        third = max(1, len(self.samples) // 3)
        return median(self.samples[third : 2 * third] or self.samples), median(self.samples[-third:])


class FuzzRun:
    """Fuzzed messages through services that run."""

    def __init__(
        self,
        topics: KafkaTopics,
        services: Mapping[str, ServiceProcess],
        reported: Mapping[str, Sequence[Topic]],
        seconds: float,
    ) -> None:
        """
        Args:
            services: those that read the messages, by name.
            reported: the topics of which a service reports its positions.
            seconds: how long the services may take for the last messages.
        """
        self.memory: Final = {name: Memory() for name in services}
        self._topics: Final = topics
        self._services: Final = services
        self._reported: Final = reported
        self._seconds: Final = seconds
        self._timestamps: Final = message_timestamps(services)
        self._pids: Final = {name: service.process.pid for name, service in services.items()}
        self._sampled_at = 0.0

    def send(self, kinds: Mapping[str, Kind], seed: int, count: int, *, for_seconds: float = float("inf")) -> int:
        """Send ``count`` messages of each kind, in turn, no faster than the services process them.

        Args:
            for_seconds: after which no more are sent.

        Returns:
            How many of each were sent. The services have processed them.

        Raises:
            AssertionError: a service ended, or does not get on.
        """
        streams: list[tuple[Kind, Iterator[FuzzedMessage]]] = [
            (kind, fuzzed_messages(kind, seed + number, count, self._timestamps))
            for number, kind in enumerate(kinds.values())
        ]
        topics = [kind.topic for kind in kinds.values()]
        deadline, sent = time.monotonic() + for_seconds, 0
        while sent < count and time.monotonic() < deadline:
            sent += 1
            for kind, messages in streams:
                message = next(messages)
                self._topics.send(kind.topic, message.value, message.key, message.headers, timestamp=message.timestamp)
            if sent % _MESSAGES_BETWEEN_SAMPLES == 0:
                self._sample()
                if sent % _MAX_BEHIND == 0:
                    self._topics.flush()
                    self._wait(lambda: self._behind(topics) <= _MAX_BEHIND)
        self._topics.flush()
        self._wait(lambda: self._behind(topics) == 0)
        return sent

    def check_memory(self, growth: float, spare_mb: float) -> None:
        """Check that no service has grown.

        Raises:
            AssertionError: one has, by more than the factor and the MB beyond it.
        """
        for name, memory in self.memory.items():
            (before, after) = memory.thirds()
            assert after <= before * growth + spare_mb, f"{name} has grown from {before:.0f} to {after:.0f} MB"

    def check_restarts(self) -> None:
        """Check that each service is still the same process.

        Raises:
            AssertionError: one is not.
        """
        for name, service in self._services.items():
            assert service.is_running, f"{name} ended: {service.log_tail()}"
            assert service.process.pid == self._pids[name]

    def _behind(self, topics: Sequence[Topic]) -> int:
        """How many messages are not processed by the slowest service that reads them."""
        behind = 0
        for name, service in self._services.items():
            positions = service.positions()
            ends = self._topics.end_offsets(*(topic for topic in topics if topic in self._reported[name]))
            behind = max(behind, sum(end - positions.get(place, 0) for place, end in ends.items()))
        return behind

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._seconds
        while not condition():
            self._sample()
            self.check_restarts()
            assert time.monotonic() < deadline, f"the services do not get on: {self._tails()}"
            time.sleep(_SAMPLE_SECONDS)

    def _sample(self) -> None:
        now = time.monotonic()
        if now - self._sampled_at < _SAMPLE_SECONDS:
            return
        self._sampled_at = now
        for name, service in self._services.items():
            if service.is_running:
                self.memory[name].samples.append(_resident_mb(service.process.pid))

    def _tails(self) -> str:
        return "\n".join(f"{name}: {service.log_tail()}" for name, service in self._services.items())


def _resident_mb(pid: int) -> float:
    """The memory of a process and of those that it has started."""
    family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    total = 0
    for one in family:
        try:
            total += resident_bytes(one)
        except (OSError, ValueError):  # it has just ended
            continue
    return total / _MB
