"""Services under test as processes of their own, which a test may kill and start again."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import httpx
from cardwatch_service.metrics import CONSUMER_POSITION
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from support.platforms import Platform
from support.waiting import wait_until

STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.2  # polling takes processor time too
_LOG_TAIL_CHARACTERS: Final = 4000


def installed_command(name: str) -> str:
    """The path of a command of this virtual environment, such as ``cardwatch-enricher``; an absolute path stays."""
    return str(Path(sys.executable).parent / name)


def service_environment(platform: Platform, prefix: str, **settings: str) -> dict[str, str]:
    """The environment of a service on the platform's broker and registry, with its topics under a prefix.

    It logs JSON and serves its metrics on a free port; ``settings`` are added, or take the place of these.
    """
    return {
        **os.environ,
        **platform.environment(),
        "CARDWATCH_TOPIC_PREFIX": prefix,
        "CARDWATCH_METRICS_PORT": "0",
        "CARDWATCH_LOG_FORMAT": "json",
        **settings,
    }


class ServiceProcess:
    """One service as a process in a session of its own; what it starts, a JVM for example, is killed with it.

    Args:
        command: the program and its arguments.
        environment: its whole environment, see ``service_environment``.
        log_path: standard error, and standard output unless it has a file of its own; every start appends to it.
        output_path: a file for standard output, appended to as well.
        working_directory: this process's own unless given.
        wait_seconds: how long ``wait_for`` waits by default.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_path: Path,
        *,
        output_path: Path | None = None,
        working_directory: Path | None = None,
        wait_seconds: float = 60.0,
    ) -> None:
        self.command: Final = list(command)
        self.environment: Final = dict(environment)
        self.log_path: Final = log_path
        self.output_path: Final = output_path or log_path
        self._working_directory: Final = working_directory
        self._wait_seconds: Final = wait_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._log_bytes_before_start = 0

    def start(self) -> None:
        """Start it, or start it again after its end."""
        self._log_bytes_before_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with contextlib.ExitStack() as files:
            log: IO[bytes] = files.enter_context(self.log_path.open("ab"))
            output = log
            if self.output_path != self.log_path:
                output = files.enter_context(self.output_path.open("ab"))
            self._process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self._working_directory,
                stdout=output,
                stderr=log,
                start_new_session=True,
            )

    def run_command(self, *arguments: str) -> None:
        """Run the service's program once with other arguments, in the same environment; it has to succeed."""
        subprocess.run([self.command[0], *arguments], env=self.environment, cwd=self._working_directory, check=True)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process, which was started before."""
        assert self._process is not None, f"{self.command[0]} was not started"
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL for the process and all that it started, at once, as when a machine loses power."""
        if self.is_running:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop it (SIGTERM); an assertion fails unless it ends with exit code 0."""
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(seconds) == 0, self.log_tail()

    def log(self) -> str:
        """Everything that it has written since its first start."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self) -> str:
        """The end of its log, for messages."""
        return self.log()[-_LOG_TAIL_CHARACTERS:]

    def log_records(self) -> list[dict[str, Any]]:
        """The lines in JSON that it has logged since its last start."""
        written = self.log_path.read_bytes()[self._log_bytes_before_start :] if self.log_path.exists() else b""
        records = []
        for line in written.decode(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict):
                    records.append(record)
        return records

    def metrics_port(self) -> int | None:
        """The port of its health and metrics endpoint, None until it has logged that.

        A process that opens it again logs it again: the last one counts.
        """
        for record in reversed(self.log_records()):
            if "metrics_port" in record:
                return int(record["metrics_port"])
            if "address" in record:
                return int(str(record["address"]).rpartition(":")[2])
        return None

    def get(self, path: str) -> httpx.Response:
        """Its endpoint's answer.

        Raises:
            httpx.HTTPError: the endpoint is not there, or does not answer.
        """
        port = self.metrics_port()
        if port is None:
            raise httpx.ConnectError(f"{self.command[0]} has not said where its endpoint is")
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10, trust_env=False)

    def is_ready(self) -> bool:
        """Whether its readiness endpoint reports it as ready."""
        try:
            return self.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have at least these labels."""
        return sum(
            sample.value
            for family in self._metric_families()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def positions(self) -> dict[tuple[str, int], int]:
        """Its positions in the partitions that it reads, from its metrics; empty while they do not answer."""
        try:
            families = self._metric_families()
        except httpx.HTTPError:
            return {}
        return {
            (sample.labels["topic"], int(sample.labels["partition"])): int(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == CONSUMER_POSITION
        }

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float | None = None) -> None:
        """Wait until a condition holds; an assertion fails, with the log, when it does not or the process ends."""

        def holds() -> bool:
            assert self.is_running, f"{self.command[0]} ended: {self.log_tail()}"
            return condition()

        wait_until(
            holds, what, seconds=seconds or self._wait_seconds, poll_seconds=_POLL_SECONDS, explain=self.log_tail
        )

    def _metric_families(self) -> list[Metric]:
        return list(text_string_to_metric_families(self.get("/metrics").text))


@contextlib.contextmanager
def service_processes(
    platform: Platform, prefix: str, directory: Path, **common: str
) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts services on the topics of a prefix: ``start(command, argument, VARIABLE=value)``; kills all in the end.

    Args:
        directory: for their logs and the notifier's outbox.
        common: settings of all of them.
    """
    processes: list[ServiceProcess] = []

    def start(*command: str, **settings: str) -> ServiceProcess:
        environment = service_environment(
            platform, prefix, CARDWATCH_NOTIFIER_OUTBOX_PATH=str(directory / "outbox.db"), **common, **settings
        )
        program = [installed_command(command[0]), *command[1:]]
        processes.append(ServiceProcess(program, environment, directory / f"{len(processes)}.log"))
        processes[-1].start()
        return processes[-1]

    try:
        yield start
    finally:
        for process in processes:
            process.kill()
