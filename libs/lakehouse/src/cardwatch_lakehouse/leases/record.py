"""What a lease's file says: who holds it, since when, and for how long its silence is to be believed."""

import json
import os
import socket
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from cardwatch_contracts.errors import ConfigurationError

_MAX_SECONDS: Final = 3600.0
_START_TIME_FIELD: Final = 19  # of /proc/<pid>/stat, counted behind the command's name


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lease.

    Attributes:
        what: what the process is, such as ``detector``.
        host: the machine's name.
        pid: the process's id on that machine, or in its container.
        started: when the process started, in the kernel's ticks; a process id is used again, a pair of both is not.
        machine: the kernel's boot and the namespace of process ids. In the same one, process ids can be compared.
        since: when it got the lease, ISO 8601 in UTC, by its own clock.
    """

    what: str
    host: str
    pid: int
    started: str
    machine: str
    since: str

    def __str__(self) -> str:
        return f"{self.what} on {self.host} (process {self.pid}), since {self.since}"


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The content of a lease's file.

    Attributes:
        epoch: how often the lease has been taken: the fencing token, which only rises.
        holder: the last one who took it.
        ttl_seconds: a record that has not changed for this long is of a holder that is gone.
        renewed: how often the holder has renewed it, so that each renewal changes the file.
        released: whether the holder gave it back.
        token: random, different each time that the lease is taken.
    """

    epoch: int
    holder: Holder
    ttl_seconds: float
    renewed: int = 0
    released: bool = False
    token: str = field(default_factory=lambda: uuid4().hex)

    def next(self) -> "LeaseRecord":
        """The record after one more renewal."""
        return replace(self, renewed=self.renewed + 1)

    def encode(self) -> bytes:
        """The file's bytes: JSON, readable for people."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @staticmethod
    def decode(content: bytes, where: str) -> "LeaseRecord":
        """Read a file's bytes.

        Raises:
            ConfigurationError: it is not a lease; ``where`` names the file.
        """
        try:
            found: dict[str, Any] = json.loads(content)
            record = LeaseRecord(**{**found, "holder": Holder(**found["holder"])})
            valid = type(record.epoch) is int and record.epoch > 0 and 0 < record.ttl_seconds <= _MAX_SECONDS
        except (ValueError, TypeError, KeyError):
            valid = False
        if not valid:
            raise ConfigurationError(
                f"{where} is not a lease of this version; if no process of Cardwatch works there, delete it"
            )
        return record


def this_process(what: str) -> Holder:
    """This process as the holder of a lease that it gets now."""
    pid = os.getpid()
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Holder(what, socket.gethostname(), pid, _started(pid), _machine(), since)


def is_dead(holder: Holder) -> bool:
    """Whether a process of this machine has ended for certain; False where nobody here can know."""
    return bool(holder.machine) and holder.machine == _machine() and _started(holder.pid) != holder.started


def _machine() -> str:
    """The kernel's boot id and the namespace of process ids; empty where the system has none (other than Linux)."""
    try:
        return (
            Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            + " "
            + str(Path("/proc/self/ns/pid").readlink())
        )
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, in ticks since the boot; empty if there is none, or it is only waiting to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[_START_TIME_FIELD]
