"""How much memory a process has, as Linux counts it."""

from pathlib import Path
from typing import Final

_BYTES_PER_KB: Final = 1024


def resident_bytes(pid: int) -> int:
    """The memory that a process has now."""
    return _status(pid, "VmRSS")


def peak_resident_bytes(pid: int) -> int:
    """The most memory that a process has had since its start."""
    return _status(pid, "VmHWM")


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * _BYTES_PER_KB
    raise ValueError(f"process {pid} has no {field}")
