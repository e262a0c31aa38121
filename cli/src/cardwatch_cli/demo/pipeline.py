"""The line: every service as a process of its own, on a platform that is already up.

One object starts it, says how far it is, kills and restarts parts of it, waits until everything has gone through, and
reads back what came out. The demo and the end-to-end tests drive the same object.
"""

import base64
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.setup import apply_all
from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER
from cardwatch_platform.ports import free_port
from cardwatch_platform.processes import GuardedProcess, log_tail
from cardwatch_rulebook import planning
from cardwatch_rulebook.connect import open_stores
from cardwatch_rulebook.planning import Author
from cardwatch_service.settings import ServiceSettings, load
from cardwatch_service.token_settings import TokenSettings

from cardwatch_cli.demo.probes import Probe
from cardwatch_cli.demo.recorded import Recorded, read_back
from cardwatch_cli.demo.results import Delivery
from cardwatch_cli.demo.services import (
    LAKEHOUSE,
    NOTIFIER,
    PlatformEndpoints,
    Stage,
    Webhook,
    base_environment,
    command,
    stages,
    tables_dir,
)
from cardwatch_cli.demo.topic_reader import TopicReader
from cardwatch_cli.rules.files import read_rule_files
from cardwatch_cli.webhook.receiver import WebhookReceiver

READY_SECONDS: Final = 240.0
STALL_SECONDS: Final = 180.0
STOP_SECONDS: Final = 45.0
OUTBOX_PENDING: Final = "cardwatch_notifier_outbox_messages"

_POLL_SECONDS: Final = 0.5
_AUTHOR: Final = Author("demo")


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What a line is made of.

    Attributes:
        data_dir: an empty directory for logs, checkpoints, tables and outbox.
        rules: the rule file.
        topic_prefix: keeps lines on one platform apart.
        env: settings for all services.
        without: services to leave out, by name.
    """

    data_dir: Path
    rules: Path
    topic_prefix: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the line is: messages appended to its topics, alerts delivered, messages that wait in front of it."""

    produced: int
    silver: int
    alerts: int
    delivered: int
    lag: int


# Where the kernel shares out time by session first (autogroup), `nice` alone changes nothing.
_LOWEST_PRIORITY: Final = 'echo 19 2>/dev/null >/proc/self/autogroup; exec nice -n 19 "$@"'


class ServiceProcess:
    """One process of the line, which may be killed and started again."""

    def __init__(self, stage: Stage, env: Mapping[str, str], log_path: Path, cwd: Path) -> None:
        self.stage: Final = stage
        self.log_path: Final = log_path
        self.metrics_port: Final = free_port()
        self.probe: Final = Probe(self.metrics_port)
        self._cwd: Final = cwd
        self._env: Final = {**env, **stage.env, "CARDWATCH_METRICS_PORT": str(self.metrics_port)}
        self._process: GuardedProcess | None = None

    @property
    def name(self) -> str:
        """The service's name."""
        return self.stage.name

    @property
    def process(self) -> GuardedProcess:
        """The process; it was started before."""
        if self._process is None:
            raise RuntimeError(f"the {self.name} was not started")
        return self._process

    def start(self) -> None:
        """Start the process; what it writes is appended to its log."""
        argv: Sequence[str] = self.stage.argv
        if self.stage.background:
            argv = ("sh", "-c", _LOWEST_PRIORITY, "sh", *argv)
        # Known before it starts: Ctrl-C may come at any moment, and what is not known is not stopped.
        self._process = GuardedProcess(self.name, argv, self._env, self.log_path, cwd=self._cwd)
        self._process.start()

    def check_alive(self) -> None:
        """Raise a CardwatchError that quotes the log's last line if the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise CardwatchError(
                f"the {self.name} stopped with exit code {code}: {last_line(self.log_path)} (log: {self.log_path})"
            )

    def kill(self) -> None:
        """SIGKILL it and everything that it started, and wait until it is gone."""
        self.process.kill()

    def stop(self) -> int:
        """Ask it to stop (SIGTERM), wait and return its exit code; a process that does not listen is killed."""
        code = self.process.terminate(STOP_SECONDS)
        return 0 if code is None else code

    @property
    def started(self) -> bool:
        """Whether it was started at all."""
        return self._process is not None

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None


class Pipeline:
    """All services between the raw topic and the webhook. Use it as a context manager: leaving it leaves no process."""

    def __init__(self, platform: PlatformEndpoints, options: PipelineOptions) -> None:
        self.platform: Final = platform
        self.options: Final = options
        self._secret: Final = _webhook_secret()
        self.receiver: Final = WebhookReceiver(self._secret)
        self.services: dict[str, ServiceProcess] = {}
        self.producer: ServiceProcess | None = None
        self._env: Final = base_environment(platform, options.topic_prefix)
        self._reader: TopicReader | None = None
        self._resources: Final = ExitStack()

    def __enter__(self) -> Self:
        self._resources.enter_context(self.receiver)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abandon()

    def start(self) -> None:
        """Create topics and schemas and publish the rules, then start all services (they are not ready yet).

        Raises:
            CardwatchError: the rule file is wrong, broker or registry do not answer.
        """
        data_dir = self.options.data_dir
        (data_dir / "logs").mkdir(parents=True, exist_ok=True)
        apply_all(self.platform.bootstrap_servers, self.platform.registry_url, self.options.topic_prefix)
        self.apply_rules(self.options.rules)
        self._reader = self._resources.enter_context(closing(TopicReader(self.platform.bootstrap_servers)))
        webhook = Webhook(self.receiver.url, self._secret)
        for stage in stages(data_dir, webhook, self.options.env):
            if stage.name in self.options.without:
                continue
            service = ServiceProcess(stage, self._env, self._log_path(stage.name), data_dir)
            self.services[stage.name] = service
            if not stage.background:
                service.start()

    def apply_rules(self, path: Path) -> None:
        """Publish the rules of a file, as `cardwatch rules apply` does.

        Raises:
            CardwatchError: the file is wrong, broker or registry do not answer.
        """
        files, problems = read_rule_files([path], {})
        if problems:
            raise ConfigurationError("; ".join(problems))
        settings = ServiceSettings(
            kafka_bootstrap_servers=self.platform.bootstrap_servers,
            schema_registry_url=self.platform.registry_url,
            topic_prefix=self.options.topic_prefix,
        )
        with open_stores(settings) as stores:
            stores.rules.carry_out([planning.apply(one, _AUTHOR) for file in files for one in file.definitions])

    def start_background(self) -> None:
        """Start what no alert waits for; the others are ready."""
        for service in self.services.values():
            if service.stage.background and not service.started:
                service.start()

    def wait_ready(
        self, timeout: float = READY_SECONDS, on_change: Callable[[Mapping[str, str]], None] = lambda waiting: None
    ) -> None:
        """Wait until every service that an alert waits for is ready, then start the others.

        Args:
            timeout: seconds.
            on_change: called with the services that are not ready yet and why, whenever that changes.

        Raises:
            CardwatchError: one of them stopped, or is not ready in time.
        """
        deadline = time.monotonic() + timeout
        shown: dict[str, str] | None = None
        awaited = {name: service for name, service in self.services.items() if not service.stage.background}
        with ThreadPoolExecutor(len(awaited)) as pool:
            while True:
                self.check_alive()
                reasons = pool.map(lambda service: service.probe.not_ready_because(), awaited.values())
                waiting = {name: reason for name, reason in zip(awaited, reasons, strict=True) if reason}
                if waiting != shown:
                    on_change(waiting)
                    shown = waiting
                if not waiting:
                    self.start_background()
                    return
                if time.monotonic() > deadline:
                    name, reason = next(iter(waiting.items()))
                    raise CardwatchError(
                        f"the {name} is not ready after {timeout:.0f} s: {reason} (log: {self._log_path(name)})"
                    )
                time.sleep(_POLL_SECONDS)

    def check_alive(self) -> None:
        """Raise a CardwatchError if a service has stopped that should not have."""
        for service in self.services.values():
            if service.started:
                service.check_alive()

    def start_producer(self, *arguments: str) -> None:
        """Start ``cardwatch-producer`` with these arguments."""
        # Fewer, larger requests: everything shares this machine's few cores, the broker included.
        env = {"CARDWATCH_PRODUCER_LINGER_MS": "25", **self.options.env}
        stage = Stage("producer", (command("cardwatch-producer"), *arguments), env, ())
        self.producer = ServiceProcess(stage, self._env, self._log_path("producer"), self.options.data_dir)
        self.producer.start()

    def producing(self) -> bool:
        """Whether the producer still runs.

        Raises:
            CardwatchError: it failed.
        """
        if self.producer is None:
            return False
        code = self.producer.process.poll()
        if code:
            raise CardwatchError(
                f"the producer stopped with exit code {code}: {last_line(self.producer.log_path)} "
                f"(log: {self.producer.log_path})"
            )
        return code is None

    def stop_producer(self) -> None:
        """Ask the producer to stop (SIGTERM) and wait: what it began to send is acknowledged first.

        Raises:
            CardwatchError: it failed.
        """
        if self.producing() and self.producer is not None:
            self.producer.stop()
            self.producing()

    def wait_produced(self, timeout: float) -> None:
        """Wait until the producer is done.

        Raises:
            CardwatchError: it failed, a service stopped, or it takes longer than ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while self.producing():
            self.check_alive()
            if time.monotonic() > deadline:
                raise CardwatchError(f"the producer is not done after {timeout:.0f} s")
            time.sleep(_POLL_SECONDS)

    def kill(self, name: str) -> None:
        """SIGKILL a service in the middle of its work."""
        self.services[name].kill()

    def restart(self, name: str) -> None:
        """Start a killed service again, with the same state and settings."""
        self.services[name].start()

    def progress(self) -> Progress:
        """How far everything is at this moment."""
        prefix = self.options.topic_prefix
        return Progress(
            produced=self._topics.count(TRANSACTIONS_RAW.name(prefix), TRANSACTIONS_JSON.name(prefix)),
            silver=self._topics.count(TRANSACTIONS_SILVER.name(prefix)),
            alerts=self._topics.count(ALERTS.name(prefix)),
            delivered=len(self.receiver.unique_ids()),
            lag=sum(self._lag(name) for name in self.services if name != LAKEHOUSE),
        )

    def drain(self, stall: float = STALL_SECONDS, on_wait: Callable[[str, int], None] = lambda name, lag: None) -> None:
        """Wait until everything that was produced has gone through every service, in the order of the flow.

        A service's position passes a message only when what it made of the message is safe downstream, so once one
        has reached the end of what it reads, the end of what it writes is final.

        Args:
            stall: seconds without any progress after which to give up.
            on_wait: called with the service that is waited for and the messages it still has before it.

        Raises:
            CardwatchError: a service stopped or makes no progress; names it and what is left.
        """
        for name in self.services:
            self._until_nothing_left(name, self._lag, "messages", stall, on_wait)
            if name == NOTIFIER:
                self._until_nothing_left(name, self._outbox_pending, "undelivered alerts", stall, on_wait)

    def stop(self) -> None:
        """Stop all services cleanly, the first ones of the flow first.

        Raises:
            CardwatchError: one of them did not end with exit code 0.
        """
        unclean = []
        with ThreadPoolExecutor(len(self.services)) as pool:
            codes = pool.map(ServiceProcess.stop, self.services.values())
            for service, code in zip(self.services.values(), codes, strict=True):
                if code != 0:
                    unclean.append(f"the {service.name} ended with exit code {code} (log: {service.log_path})")
        if unclean:
            raise CardwatchError("; ".join(unclean) + " when asked to stop; 0 would be right")

    def abandon(self) -> None:
        """Leave nothing running, whatever state it is in."""
        for service in [*self.services.values(), *([self.producer] if self.producer else [])]:
            if service.running:
                service.kill()
            service.probe.close()
        self._resources.close()

    def recorded(self) -> Recorded:
        """Everything that is in the topics, decoded here. Call it on a drained line."""
        tokens = load(TokenSettings)
        return read_back(
            self._topics,
            ConfluentRegistry(self.platform.registry_url),
            self.options.topic_prefix,
            tokens.key_bytes(),
            tokens.key_id,
        )

    def deliveries(self) -> list[Delivery]:
        """What the webhook has accepted so far."""
        return [
            Delivery(request.webhook_id, alert["alert_id"], alert["status"], request.received_at)
            for request in self.receiver.accepted
            for alert in (request.body["data"],)
        ]

    def received_alerts(self) -> list[dict[str, Any]]:
        """The alerts that the webhook has accepted so far, as they were sent, in order of arrival."""
        return [request.body["data"] for request in self.receiver.accepted]

    @property
    def tables_dir(self) -> Path:
        """Where the Delta tables are."""
        return tables_dir(self.options.data_dir)

    @property
    def _topics(self) -> TopicReader:
        if self._reader is None:
            raise RuntimeError("the line was not started")
        return self._reader

    def _log_path(self, name: str) -> Path:
        return self.options.data_dir / "logs" / f"{name}.log"

    def _lag(self, name: str) -> int:
        """Messages that a service has not safely processed; a partition that it does not speak of counts whole."""
        service = self.services[name]
        ends = self._topics.end_offsets(*(topic.name(self.options.topic_prefix) for topic in service.stage.reads))
        positions = service.probe.positions()
        return sum(max(0, end - positions.get(partition, 0)) for partition, end in ends.items())

    def _outbox_pending(self, name: str) -> int:
        pending = self.services[name].probe.value(OUTBOX_PENDING)
        return 1 if pending is None else int(pending)

    def _until_nothing_left(
        self,
        name: str,
        left_of: Callable[[str], int],
        what: str,
        stall: float,
        on_wait: Callable[[str, int], None],
    ) -> None:
        least: int | None = None
        deadline = time.monotonic() + stall
        while (left := left_of(name)) > 0:
            self.check_alive()
            if least is None or left < least:
                least, deadline = left, time.monotonic() + stall
            if time.monotonic() > deadline:
                raise CardwatchError(
                    f"the {name} still has {left} {what} before it and made no progress for {stall:.0f} s "
                    f"(log: {self._log_path(name)})"
                )
            on_wait(name, left)
            time.sleep(_POLL_SECONDS)


def last_line(log_path: Path) -> str:
    """The last line of a log, shortened."""
    return log_tail(log_path, 1).strip()[:300] or "its log is empty"


def _webhook_secret() -> str:
    """A signing key for this run (Standard Webhooks: ``whsec_`` and 24 to 64 bytes in base64)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
