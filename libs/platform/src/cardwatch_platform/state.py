"""The state of a platform between commands: ``platform.json`` in its home."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import psutil

from cardwatch_platform import processes
from cardwatch_platform.ports import HOST
from cardwatch_platform.processes import GuardedProcess

FILE_NAME: Final = "platform.json"


@dataclass(frozen=True, slots=True)
class Component:
    """A service process, identified by pid and creation time (seconds since the epoch), and its guard likewise."""

    pid: int
    created: float
    guard_pid: int
    guard_created: float
    since: str

    @classmethod
    def of(cls, process: GuardedProcess) -> Self:
        """The identity of a process that was just started."""
        return cls(
            pid=process.pid,
            created=processes.create_time(process.pid),
            guard_pid=process.guard_pid,
            guard_created=processes.create_time(process.guard_pid),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def process(self) -> psutil.Process | None:
        """The process, if it still runs."""
        return processes.find(self.pid, self.created)

    def stop(self, grace_seconds: float) -> bool:
        """Stop exactly this process; False if it was not running."""
        stopped = processes.stop(self.pid, self.created, grace_seconds)
        # The guard ends with its child; if it still runs after that, it is stopped like a child.
        if not processes.wait_gone(self.guard_pid, self.guard_created, 5.0):
            processes.stop(self.guard_pid, self.guard_created, 1.0)
        return stopped


@dataclass(frozen=True, slots=True)
class PlatformState:
    """Ports, kept over restarts, and the components by name (``kafka``, ``registry``); empty before the first start."""

    kafka_port: int = 0
    controller_port: int = 0
    registry_port: int = 0
    components: dict[str, Component] = field(default_factory=dict)

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka clients connect."""
        return f"{HOST}:{self.kafka_port}"

    @property
    def registry_url(self) -> str:
        """The registry's Confluent-compatible interface."""
        return f"http://{HOST}:{self.registry_port}/apis/ccompat/v7"

    def address(self, component: str) -> str:
        """The component's address for people."""
        return self.bootstrap_servers if component == "kafka" else self.registry_url

    def ports(self) -> tuple[int, int, int]:
        """Broker, controller, registry."""
        return self.kafka_port, self.controller_port, self.registry_port

    def running(self) -> list[str]:
        """The names of the components whose process runs."""
        return [name for name, component in self.components.items() if component.process() is not None]

    def with_component(self, name: str, component: Component) -> "PlatformState":
        """A copy with one component added or replaced."""
        return replace(self, components={**self.components, name: component})

    def without_components(self) -> "PlatformState":
        """A copy with the ports only."""
        return replace(self, components={})

    def save(self, home: Path) -> None:
        """Write the file; a reader sees the old or the new content, never a part."""
        scratch = home / f"{FILE_NAME}.{os.getpid()}"
        scratch.write_text(
            json.dumps(
                {**asdict(self), "bootstrap_servers": self.bootstrap_servers, "registry_url": self.registry_url}
            ),
            encoding="utf-8",
        )
        scratch.replace(home / FILE_NAME)


def load_state(home: Path) -> PlatformState:
    """The state of the platform in ``home``; an absent or unreadable file is a platform that never ran."""
    try:
        content = json.loads((home / FILE_NAME).read_text(encoding="utf-8"))
        return PlatformState(
            kafka_port=int(content["kafka_port"]),
            controller_port=int(content["controller_port"]),
            registry_port=int(content["registry_port"]),
            components={name: Component(**component) for name, component in content["components"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return PlatformState()
