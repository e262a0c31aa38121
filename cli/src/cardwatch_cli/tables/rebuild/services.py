"""Steps of a rebuild that a service does: run as a process, which tells in lines of JSON how far it is."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cardwatch_contracts.errors import CardwatchError

if TYPE_CHECKING:
    from cardwatch_platform.processes import GuardedProcess

_ERROR: Final = "error: "
_POLL_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 20.0


def run_service(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Run a console script of this installation until it ends; gives what it tells, line by line.

    It ends when this process ends, whatever ends that.

    Raises:
        CardwatchError: it is not installed, or it failed; quotes what it says.
    """
    command = Path(sys.executable).with_name(name)
    if not command.exists():
        raise CardwatchError(f"{name} is not installed here; an environment with all services would be right")
    # Where the services are, so is the platform; the image of the command line has neither.
    from cardwatch_platform.processes import GuardedProcess

    # Metrics of a minute's work are nobody's; and the service itself may run here and have the port.
    env = {**environment, "CARDWATCH_METRICS_PORT": "0", "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryDirectory(prefix="cardwatch-rebuild-") as directory:
        log_path = Path(directory, "log")
        process = GuardedProcess(name, [str(command), *arguments], env, log_path).start()
        try:
            with log_path.open(errors="replace") as log:
                said: list[str] = []
                for line in _lines(log, process):
                    told = _told(line)
                    if told is None:
                        said.append(line)
                    else:
                        yield told
        finally:
            if process.poll() is None:
                process.terminate(_STOP_SECONDS)
        code = process.wait()
        if code:
            raise CardwatchError(f"{name} {arguments[0]} failed: {_reason(said, code)}")


def _lines(log: Any, process: "GuardedProcess") -> Iterator[str]:
    """The lines of a log that a process writes, until it has ended."""
    begun = ""
    while True:
        ended = process.poll() is not None
        while line := log.readline():
            begun += line
            if begun.endswith("\n"):
                yield begun
                begun = ""
        if ended:
            if begun:
                yield begun
            return
        time.sleep(_POLL_SECONDS)


def _told(line: str) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    # Services may log in JSON too: what they log has an event.
    return told if isinstance(told, dict) and "event" not in told else None


def _reason(lines: Sequence[str], code: int) -> str:
    """The sentence of an error, else the last line."""
    errors = [line.removeprefix(_ERROR).strip() for line in lines if line.startswith(_ERROR)]
    last = [line.strip() for line in lines if line.strip()]
    return (errors or last or [f"exit code {code}"])[-1][:500]
