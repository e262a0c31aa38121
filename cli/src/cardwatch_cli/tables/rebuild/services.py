"""Steps of a rebuild that a service does, run as a process that reports its progress in lines of JSON."""

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

_ERROR_PREFIX: Final = "error: "
_MAX_QUOTED_CHARACTERS: Final = 500
_POLL_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 20.0


def run_service(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Run a console script of this installation until it ends, and yield the JSON objects that it prints.

    The process ends when this one ends, in whichever way.

    Raises:
        CardwatchError: the script is not installed, or it failed; the message quotes its error.
    """
    command = Path(sys.executable).with_name(name)
    if not command.exists():
        raise CardwatchError(f"{name} is not installed here, expected an environment with all services")
    # Imported here: the package is installed together with the services, and the command line's image has neither.
    from cardwatch_platform.processes import GuardedProcess

    # No metrics: nothing scrapes a process of a minute, and the service itself may be running here on the port.
    env = {**environment, "CARDWATCH_METRICS_PORT": "0", "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryDirectory(prefix="cardwatch-rebuild-") as directory:
        log_path = Path(directory, "log")
        process = GuardedProcess(name, [str(command), *arguments], env, log_path).start()
        try:
            with log_path.open(errors="replace") as log:
                others: list[str] = []
                for line in _lines(log, process):
                    report = _parse_report(line)
                    if report is None:
                        others.append(line)
                    else:
                        yield report
        finally:
            if process.poll() is None:
                process.terminate(_STOP_SECONDS)
        code = process.wait()
        if code:
            raise CardwatchError(f"{name} {arguments[0]} failed: {_reason(others, code)}")


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


def _parse_report(line: str) -> dict[str, Any] | None:
    try:
        report = json.loads(line)
    except ValueError:
        return None
    # Services may log in JSON too; their log entries have an `event`.
    return report if isinstance(report, dict) and "event" not in report else None


def _reason(lines: Sequence[str], code: int) -> str:
    """The last error that was printed, or else the last line."""
    errors = [line.removeprefix(_ERROR_PREFIX).strip() for line in lines if line.startswith(_ERROR_PREFIX)]
    last = [line.strip() for line in lines if line.strip()]
    return (errors or last or [f"exit code {code}"])[-1][:_MAX_QUOTED_CHARACTERS]
