"""One service of the pipeline as a process of its own, which may be killed and started again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_platform.ports import free_port
from cardwatch_platform.processes import GuardedProcess, log_tail

from cardwatch_cli.demo.probes import Probe
from cardwatch_cli.demo.services import ServiceDefinition

STOP_TIMEOUT_SECONDS: Final = 45.0

_MAX_QUOTED_LOG_CHARACTERS: Final = 300

# With autogroup the kernel divides processor time between sessions first, so `nice` alone changes nothing.
_LOWEST_PRIORITY: Final = 'echo 19 2>/dev/null >/proc/self/autogroup; exec nice -n 19 "$@"'


class ServiceProcess:
    """A service's process, its log file, and the HTTP port on which it reports health and metrics."""

    def __init__(self, definition: ServiceDefinition, env: Mapping[str, str], log_path: Path, cwd: Path) -> None:
        self.definition: Final = definition
        self.log_path: Final = log_path
        self.metrics_port: Final = free_port()
        self.probe: Final = Probe(self.metrics_port)
        self._cwd: Final = cwd
        self._env: Final = {**env, **definition.env, "CARDWATCH_METRICS_PORT": str(self.metrics_port)}
        self._process: GuardedProcess | None = None

    @property
    def name(self) -> str:
        """The service's name."""
        return self.definition.name

    @property
    def started(self) -> bool:
        """Whether the process was ever started."""
        return self._process is not None

    @property
    def running(self) -> bool:
        """Whether the process runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def process(self) -> GuardedProcess:
        """The process.

        Raises:
            RuntimeError: it was never started.
        """
        if self._process is None:
            raise RuntimeError(f"the {self.name} was not started")
        return self._process

    def start(self) -> None:
        """Start the process. Its output is appended to the log file.

        Raises:
            RuntimeError: it is running already; a second one would go unnoticed.
        """
        if self.running:
            raise RuntimeError(f"the {self.name} is running already (pid {self.process.pid}); stop it first")
        argv: Sequence[str] = self.definition.argv
        if self.definition.background:
            argv = ("sh", "-c", _LOWEST_PRIORITY, "sh", *argv)
        # Kept before it starts: Ctrl-C may come at any moment, and only a process that is known here is stopped.
        self._process = GuardedProcess(self.name, argv, self._env, self.log_path, cwd=self._cwd)
        self._process.start()

    def check_alive(self) -> None:
        """Check that the process has not ended.

        Raises:
            CardwatchError: it has; the message quotes the last line of its log.
        """
        code = self.process.poll()
        if code is not None:
            raise self._ended_error(code)

    def is_working(self) -> bool:
        """Whether the process still runs; for one that ends by itself when its work is done.

        Raises:
            CardwatchError: it ended with another exit code than 0; the message quotes the last line of its log.
        """
        code = self.process.poll()
        if code:
            raise self._ended_error(code)
        return code is None

    def kill(self) -> None:
        """Send SIGKILL to the process and to everything that it started, and wait until all of it has ended."""
        self.process.kill()

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit code. A process that does not end in time is killed."""
        code = self.process.terminate(STOP_TIMEOUT_SECONDS)
        return 0 if code is None else code

    def _ended_error(self, code: int) -> CardwatchError:
        return CardwatchError(
            f"the {self.name} stopped with exit code {code}: {last_log_line(self.log_path)} (log: {self.log_path})"
        )


def last_log_line(log_path: Path) -> str:
    """The last line of a log file, cut to 300 characters."""
    return log_tail(log_path, 1).strip()[:_MAX_QUOTED_LOG_CHARACTERS] or "its log is empty"
