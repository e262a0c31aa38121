"""The whole pipeline on one machine: every service as a process of its own, on a platform that is already up.

A ``Pipeline`` starts the services, measures their progress, kills and restarts them, waits until everything is
processed, and reads the results back. The demo and the end-to-end tests use the same class.
"""

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_kafka.range_reader import RangeReader
from cardwatch_kafka.setup import apply_all
from cardwatch_rulebook import planning
from cardwatch_rulebook.connect import open_stores
from cardwatch_rulebook.planning import Author
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.token_settings import TokenSettings

from cardwatch_cli.demo.progress import PipelineProgress, Progress, check_alive, wait_until_ready
from cardwatch_cli.demo.recorded import Recorded, read_back
from cardwatch_cli.demo.results import Delivery
from cardwatch_cli.demo.service_process import ServiceProcess
from cardwatch_cli.demo.services import (
    PlatformEndpoints,
    Webhook,
    base_environment,
    define_services,
    producer_definition,
    tables_dir,
)
from cardwatch_cli.demo.topics import open_reader
from cardwatch_cli.rules.files import read_rule_files
from cardwatch_cli.webhook.receiver import WebhookReceiver

READY_TIMEOUT_SECONDS: Final = 240.0
STALL_TIMEOUT_SECONDS: Final = 180.0

_POLL_SECONDS: Final = 0.5
_AUTHOR: Final = Author("demo")


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What a pipeline runs with.

    Attributes:
        data_dir: an empty directory for logs, checkpoints, tables and outbox.
        rules: the rule file.
        topic_prefix: keeps the topics of several pipelines on one platform apart.
        env: settings for all services.
        without: names of services to leave out.
    """

    data_dir: Path
    rules: Path
    topic_prefix: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    without: frozenset[str] = frozenset()


class Pipeline:
    """All services between the raw topic and the webhook.

    Use it as a context manager: no process is left running after it.
    """

    def __init__(self, platform: PlatformEndpoints, options: PipelineOptions) -> None:
        self.platform: Final = platform
        self.options: Final = options
        self._secret: Final = _webhook_secret()
        self.receiver: Final = WebhookReceiver(self._secret)
        self.services: dict[str, ServiceProcess] = {}
        self.producer: ServiceProcess | None = None
        self._env: Final = base_environment(platform, options.topic_prefix)
        self._reader: RangeReader | None = None
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
            CardwatchError: the rule file is wrong, or broker or registry do not answer.
        """
        data_dir = self.options.data_dir
        (data_dir / "logs").mkdir(parents=True, exist_ok=True)
        apply_all(self.platform.bootstrap_servers, self.platform.registry_url, self.options.topic_prefix)
        self.apply_rules(self.options.rules)
        self._reader = self._resources.enter_context(closing(open_reader(self.platform.bootstrap_servers)))
        webhook = Webhook(self.receiver.url, self._secret)
        for definition in define_services(data_dir, webhook, self.options.env):
            if definition.name in self.options.without:
                continue
            service = ServiceProcess(definition, self._env, self._log_path(definition.name), data_dir)
            self.services[definition.name] = service
            if not definition.background:
                service.start()

    def apply_rules(self, path: Path) -> None:
        """Publish the rules of a file, as `cardwatch rules apply` does.

        Raises:
            CardwatchError: the file is wrong, or broker or registry do not answer.
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
        """Start the services that no alert waits for."""
        for service in self.services.values():
            if service.definition.background and not service.started:
                service.start()

    def wait_ready(
        self,
        timeout: float = READY_TIMEOUT_SECONDS,
        on_change: Callable[[Mapping[str, str]], None] = lambda waiting: None,
    ) -> None:
        """Wait until every service that an alert waits for is ready, then start the background services.

        Args:
            timeout: seconds.
            on_change: called with the services that are not ready yet and why, whenever that changes.

        Raises:
            CardwatchError: a service stopped, or is not ready in time.
        """
        wait_until_ready(
            {name: service for name, service in self.services.items() if not service.definition.background},
            self.check_alive,
            timeout,
            on_change,
        )
        self.start_background()

    def check_alive(self) -> None:
        """Check that no service has ended that was started.

        Raises:
            CardwatchError: one has.
        """
        check_alive(self.services)

    def start_producer(self, *arguments: str) -> None:
        """Start ``cardwatch-producer`` with these arguments."""
        definition = producer_definition(arguments, self.options.env)
        self.producer = ServiceProcess(definition, self._env, self._log_path(definition.name), self.options.data_dir)
        self.producer.start()

    def producing(self) -> bool:
        """Whether the producer still runs.

        Raises:
            CardwatchError: it failed.
        """
        return self.producer is not None and self.producer.is_working()

    def stop_producer(self) -> None:
        """Ask the producer to stop (SIGTERM) and wait: what it began to send is acknowledged first.

        Raises:
            CardwatchError: it failed.
        """
        if self.producing() and self.producer is not None:
            self.producer.stop()
            self.producing()

    def wait_produced(self, timeout: float) -> None:
        """Wait until the producer has ended.

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
        """Send SIGKILL to a service in the middle of its work."""
        self.services[name].kill()

    def restart(self, name: str) -> None:
        """Start a killed service again, with the same state and settings."""
        self.services[name].start()

    def progress(self) -> Progress:
        """How far the services are at this moment."""
        return self._progress().measure(len(self.receiver.unique_ids()))

    def drain(
        self,
        stall_seconds: float = STALL_TIMEOUT_SECONDS,
        on_wait: Callable[[str, int], None] = lambda name, left: None,
    ) -> None:
        """Wait until every service has processed everything that was produced; see ``PipelineProgress``.

        Raises:
            CardwatchError: a service stopped or makes no progress.
        """
        self._progress().wait_until_drained(stall_seconds, on_wait)

    def stop(self) -> None:
        """Stop all services with SIGTERM.

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
            raise CardwatchError("; ".join(unclean) + " after SIGTERM, expected 0")

    def abandon(self) -> None:
        """Kill all processes that still run."""
        for service in [*self.services.values(), *([self.producer] if self.producer else [])]:
            if service.running:
                service.kill()
            service.probe.close()
        self._resources.close()

    def recorded(self) -> Recorded:
        """Everything that is in the topics, decoded. Call it on a drained pipeline."""
        tokens = load_settings(TokenSettings)
        return read_back(
            self._topics,
            ConfluentRegistry(self.platform.registry_url),
            topic_prefix=self.options.topic_prefix,
            token_key=tokens.key_bytes(),
            token_key_id=tokens.key_id,
        )

    def deliveries(self) -> list[Delivery]:
        """The alerts that the webhook has accepted so far, as far as the report needs them."""
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
        """The directory of the Delta tables."""
        return tables_dir(self.options.data_dir)

    @property
    def _topics(self) -> RangeReader:
        if self._reader is None:
            raise RuntimeError("the pipeline was not started")
        return self._reader

    def _progress(self) -> PipelineProgress:
        return PipelineProgress(self.services, self._topics, self.options.topic_prefix)

    def _log_path(self, name: str) -> Path:
        return self.options.data_dir / "logs" / f"{name}.log"


def _webhook_secret() -> str:
    """A signing key for this run (Standard Webhooks: ``whsec_`` and 24 to 64 bytes in base64)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
