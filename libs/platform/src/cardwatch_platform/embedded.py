"""Kafka and the schema registry as child processes: download, ports, start, health checks, stop."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cardwatch_contracts.errors import PlatformError
from cardwatch_units.file_modes import close_to_others
from filelock import FileLock, Timeout
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from cardwatch_platform import java
from cardwatch_platform.artifacts import Lock, load_lock
from cardwatch_platform.download import ensure_artifacts
from cardwatch_platform.java_build import ENGINE, JavaBuild
from cardwatch_platform.ports import choose_ports
from cardwatch_platform.processes import GuardedProcess, log_tail
from cardwatch_platform.reporting import Reporter, SilentReporter
from cardwatch_platform.services import KAFKA, REGISTRY, Kafka, Registry, Service
from cardwatch_platform.settings import PlatformSettings
from cardwatch_platform.state import Component, PlatformState, load_state

START_TIMEOUT_SECONDS: Final = 120.0
STOP_GRACE_SECONDS: Final = 15.0

_POLL_SECONDS: Final = 0.1
_LOCK_TIMEOUT_SECONDS: Final = 300.0
_PORT_ATTEMPTS: Final = 3
_PORT_TAKEN: Final = re.compile(r"Address already in use|BindException|already bound|already in use")


class EmbeddedPlatform:
    """Kafka and a schema registry as child processes, on free ports of the loopback interface.

        with EmbeddedPlatform(Path(".cardwatch")) as platform:
            run_something(env={**os.environ, **platform.environment()})

    The processes end with the context, and with this process however it ends. Data stays in ``home``: after the next
    start topics, schemas and ids are there again.

    Args:
        home: data, logs and state; created if it does not exist.
        settings: where to download from and to; by default from the environment.
        reporter: receives progress of downloads and steps.
        kafka_heap, registry_heap: Java heap sizes.
        start_timeout_seconds: how long both together may take to become healthy.
    """

    def __init__(
        self,
        home: Path,
        *,
        settings: PlatformSettings | None = None,
        reporter: Reporter | None = None,
        kafka_heap: str = "512m",
        registry_heap: str = "256m",
        start_timeout_seconds: float = START_TIMEOUT_SECONDS,
    ) -> None:
        self.home = home.absolute()
        self._settings = settings or PlatformSettings()
        self._reporter = reporter or SilentReporter()
        self._kafka_heap = kafka_heap
        self._registry_heap = registry_heap
        self._start_timeout_seconds = start_timeout_seconds
        self._lock = load_lock()
        self._state = PlatformState()
        self._services: tuple[Service, ...] = ()
        self._processes: dict[str, GuardedProcess] = {}

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka clients connect, ``host:port``."""
        return self._state.bootstrap_servers

    @property
    def registry_url(self) -> str:
        """The registry's Confluent-compatible interface, ending in ``/apis/ccompat/v7``."""
        return self._state.registry_url

    @property
    def spark_java_home(self) -> Path:
        """A ``JAVA_HOME`` that Spark's launcher can use."""
        return spark_java_home(self._settings)

    @property
    def spark_classpath(self) -> str:
        """Kafka, Avro, Delta and file system jars for Spark, joined as a class path."""
        return spark_classpath(self._settings, self._lock)

    @property
    def state(self) -> PlatformState:
        """Ports and processes, as saved."""
        return self._state

    def environment(self) -> dict[str, str]:
        """The settings with which a service finds this platform."""
        return environment(self._state, self._settings, self._lock)

    def start(self) -> Self:
        """Download what is missing, start both services and wait until they are healthy.

        Raises:
            PlatformError: a platform runs in this home already, or something failed; then nothing is left running.
        """
        with home_lock(self.home):
            self._state = load_state(self.home)
            if running := self._state.running():
                raise PlatformError(
                    f"a platform is running in {self.home} already ({', '.join(running)}); "
                    "`cardwatch platform down` stops it"
                )
            directories = ensure_artifacts(self._lock, self._settings, self._reporter)
            self._services = (
                Kafka(directories["kafka"], self.home, self._kafka_heap),
                Registry(directories["registry"], self.home, self._registry_heap),
            )
            Retrying(
                retry=retry_if_exception_type(_PortTakenError), stop=stop_after_attempt(_PORT_ATTEMPTS), reraise=True
            )(self._start_services)
            self._reporter.message(f"Kafka at {self.bootstrap_servers}, schema registry at {self.registry_url}")
        return self

    def stop(self) -> None:
        """Stop both services and wait until they have ended. Data stays."""
        self._stop_services()
        if self._state.components:
            self._state = self._state.without_components()
            self._state.save(self.home)

    def release(self) -> None:
        """Let the services outlive this process; ``down`` stops them."""
        for process in self._processes.values():
            process.release()
        self._processes = {}

    def failed(self) -> str | None:
        """A message if a service has ended by itself; None while all run."""
        for name, process in self._processes.items():
            if (code := process.poll()) is not None:
                return _ended(name, code, process.log_path)
        return None

    def pause_broker(self) -> None:
        """Freeze the broker: it keeps its connections and answers no request."""
        self._processes[KAFKA].pause()

    def resume_broker(self) -> None:
        """Resume the broker after ``pause_broker``."""
        self._processes[KAFKA].resume()

    def restart_broker(self, kill: bool = False) -> None:
        """Stop the broker, or kill it, and start it again on the same port; returns when it answers.

        Raises:
            PlatformError: it does not come back.
        """
        process = self._processes[KAFKA]
        if kill:
            process.kill()
        else:
            process.terminate(STOP_GRACE_SECONDS)
        process.start()
        self._remember(KAFKA, process)
        service = next(service for service in self._services if service.name == KAFKA)
        self._wait_healthy([service], time.monotonic() + self._start_timeout_seconds)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_services(self) -> None:
        kafka_port, controller_port, registry_port = choose_ports(3, self._state.ports())
        self._state = PlatformState(kafka_port, controller_port, registry_port)
        deadline = time.monotonic() + self._start_timeout_seconds
        self._reporter.message("Starting Kafka and the schema registry …")
        try:
            # The slower of the two goes first; while Java starts, Kafka's storage is formatted.
            for service in reversed(self._services):
                process = service.process(self._state)
                process.log_path.unlink(missing_ok=True)
                self._processes[service.name] = process.start()
                self._remember(service.name, process)
            self._wait_healthy(self._services, deadline)
        except BaseException:  # also after Ctrl-C nothing is left running
            self.stop()
            raise

    def _remember(self, name: str, process: GuardedProcess) -> None:
        self._state = self._state.with_component(name, Component.of(process))
        self._state.save(self.home)

    def _wait_healthy(self, services: Sequence[Service], deadline: float) -> None:
        waiting = list(services)
        while waiting:
            for service in waiting:
                process = self._processes[service.name]
                if (code := process.poll()) is not None:
                    message = _ended(service.name, code, process.log_path)
                    kind = _PortTakenError if _PORT_TAKEN.search(log_tail(process.log_path, 200)) else PlatformError
                    raise kind(message)
            waiting = [service for service in waiting if not service.is_healthy(self._state)]
            if waiting and time.monotonic() > deadline:
                name = waiting[0].name
                raise PlatformError(
                    f"{name} is not healthy after {self._start_timeout_seconds:.0f} s"
                    f"{_log_excerpt(self._processes[name].log_path)}"
                )
            if waiting:
                time.sleep(_POLL_SECONDS)

    def _stop_services(self) -> None:
        processes = list(self._processes.values())
        self._processes = {}
        # Both at once, because most of the time is spent waiting.
        with ThreadPoolExecutor(max(1, len(processes))) as pool:
            list(pool.map(lambda process: process.terminate(STOP_GRACE_SECONDS), processes))


class _PortTakenError(PlatformError):
    """Another process took a port between the check and the service's bind."""


@contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Only one process at a time starts or stops the platform in a home.

    Raises:
        PlatformError: the home cannot be written, or another command holds the lock for too long.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        for name in ("data", "logs", "tmp", KAFKA, REGISTRY):
            close_to_others(home / name)  # of an earlier version, which did not choose their mode
        lock = FileLock(home / "platform.lock")
        lock.acquire(timeout=_LOCK_TIMEOUT_SECONDS)
    except Timeout as error:
        raise PlatformError(
            f"another command has been starting or stopping the platform in {home} for "
            f"{_LOCK_TIMEOUT_SECONDS / 60:.0f} minutes; stop it and try again"
        ) from error
    except OSError as error:
        raise PlatformError(
            f"{home} cannot be written ({error.strerror or error}); CARDWATCH_HOME names another directory"
        ) from error
    try:
        yield
    finally:
        lock.release()


def spark_java_home(settings: PlatformSettings) -> Path:
    """A ``JAVA_HOME`` that Spark's launcher can use."""
    return java.spark_java_home(settings.cache_dir.absolute())


def spark_classpath(settings: PlatformSettings, lock: Lock, *more: str) -> str:
    """The jars of the ``spark`` set, of ``more`` sets and of our own Java sources, joined as a class path.

    What is absent is downloaded, or compiled. Outside of a checkout there are no sources: an image has the jar
    elsewhere.
    """
    directories = ensure_artifacts(lock, settings, SilentReporter(), names=("spark", *more))
    jars = [path for name in ("spark", *more) for path in sorted(directories[name].glob("*.jar"))]
    if ENGINE.main.is_dir():
        jars.append(JavaBuild(ENGINE, settings, lock, SilentReporter()).jar())
    return os.pathsep.join(map(str, jars))


def environment(state: PlatformState, settings: PlatformSettings, lock: Lock) -> dict[str, str]:
    """The settings with which a service finds the platform."""
    return {
        "CARDWATCH_KAFKA_BOOTSTRAP_SERVERS": state.bootstrap_servers,
        "CARDWATCH_SCHEMA_REGISTRY_URL": state.registry_url,
        "CARDWATCH_SPARK_JAVA_HOME": str(spark_java_home(settings)),
        "CARDWATCH_SPARK_CLASSPATH": spark_classpath(settings, lock),
    }


def _ended(name: str, code: int, log_path: Path) -> str:
    how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
    return f"{name} has ended {how}{_log_excerpt(log_path)}"


def _log_excerpt(log_path: Path) -> str:
    tail = log_tail(log_path)
    return f"; the end of {log_path}:\n{tail}" if tail else f"; {log_path} is empty"
