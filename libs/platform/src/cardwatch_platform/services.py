"""The two services of the platform: configuration, process and health check of Kafka and the schema registry."""

import base64
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from cardwatch_contracts.errors import PlatformError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cardwatch_platform import java
from cardwatch_platform.ports import HOST, accepts_connections
from cardwatch_platform.processes import GuardedProcess
from cardwatch_platform.state import PlatformState

KAFKA: Final = "kafka"
REGISTRY: Final = "registry"

_HEALTH_TIMEOUT_SECONDS: Final = 3.0
_FORMAT_TIMEOUT_SECONDS: Final = 60.0
_LOG4J2: Final = Path(__file__).with_name("log4j2.properties")

# Broker and controller in one process, for one machine: small buffers, no replication, and no waiting for others.
_SERVER_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{kafka_port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{kafka_port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=data
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
# A killed broker is known as dead, and may come back, after this time.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


@dataclass(frozen=True, slots=True)
class Service(ABC):
    """One service of the platform.

    Args:
        program: the directory of its jars.
        home: of the platform: data, logs and state.
        heap: maximum size of the Java heap, as Java's option has it (``512m``).
    """

    program: Path
    home: Path
    heap: str

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in the state, in messages, and of its directory and log file."""

    @abstractmethod
    def process(self, state: PlatformState) -> GuardedProcess:
        """Configure it for the state's ports and return its process, not started yet."""

    @abstractmethod
    def is_healthy(self, state: PlatformState) -> bool:
        """Whether it answers a client now."""

    @property
    def directory(self) -> Path:
        """Its working directory, which holds its data."""
        return self.home / self.name

    def _guarded(self, command: Sequence[str]) -> GuardedProcess:
        return GuardedProcess(
            self.name,
            command,
            java.java_environment(),
            self.home / "logs" / f"{self.name}.log",
            cwd=self.directory,
        )

    def _java(self, *options: str) -> list[str]:
        scratch = self.home / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        return [java.java(), *options, "-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Djava.io.tmpdir={scratch}"]


class Kafka(Service):
    """Apache Kafka in KRaft mode."""

    @property
    def name(self) -> str:
        """``kafka``."""
        return KAFKA

    def process(self, state: PlatformState) -> GuardedProcess:
        """Write its configuration, format its storage if it is new, and prepare the broker's process."""
        self.directory.mkdir(parents=True, exist_ok=True)
        properties = self.directory / "server.properties"
        properties.write_text(
            _SERVER_PROPERTIES.format(host=HOST, kafka_port=state.kafka_port, controller_port=state.controller_port),
            encoding="utf-8",
        )
        # Kafka reads this file first: without it the storage is new, or its formatting was interrupted.
        if not (self.directory / "data" / "meta.properties").exists():
            self._format_storage()
        # Without the optimising compiler: on a small machine it costs more in the first minutes than it gains.
        options = (f"-Xmx{self.heap}", "-Xms64m", "-XX:TieredStopAtLevel=1")
        return self._guarded([*self._kafka(*options), "kafka.Kafka", str(properties)])

    def is_healthy(self, state: PlatformState) -> bool:
        """Whether it answers a metadata request with itself as a broker."""
        return kafka_answers(state.bootstrap_servers, state.kafka_port)

    def _format_storage(self) -> None:
        command = [
            *self._kafka("-Xmx64m", "-XX:TieredStopAtLevel=1"),
            *("kafka.tools.StorageTool", "format", "--ignore-formatted"),
            *("-t", new_cluster_id(), "-c", "server.properties"),
        ]
        try:
            subprocess.run(
                command,
                cwd=self.directory,
                env=java.java_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_FORMAT_TIMEOUT_SECONDS,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise PlatformError(
                f"Kafka's storage in {self.directory / 'data'} cannot be formatted: "
                f"{(error.stderr or error.stdout).strip().splitlines()[-1]}"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise PlatformError(
                f"Kafka's storage was not formatted within {_FORMAT_TIMEOUT_SECONDS:.0f} s; is the machine overloaded?"
            ) from error

    def _kafka(self, *options: str) -> list[str]:
        return [*self._java(*options), f"-Dlog4j2.configurationFile={_LOG4J2}", "-cp", f"{self.program}/*"]


class Registry(Service):
    """Apicurio Registry, storing in an H2 file: schemas and their ids survive a restart."""

    @property
    def name(self) -> str:
        """``registry``."""
        return REGISTRY

    def process(self, state: PlatformState) -> GuardedProcess:
        """Prepare its process."""
        self.directory.mkdir(parents=True, exist_ok=True)
        settings: Mapping[str, str | int] = {
            "quarkus.http.host": HOST,
            "quarkus.http.port": state.registry_port,
            # Its management interface cannot be switched off; nothing uses it, so it gets any free port.
            "quarkus.management.host": HOST,
            "quarkus.management.port": 0,
            'quarkus.log.category."io.quarkus.vertx.http.runtime.filters.accesslog".level': "WARN",
            "apicurio.storage.kind": "sql",
            "apicurio.storage.sql.kind": "h2",
            "apicurio.datasource.url": "jdbc:h2:file:./registry",
            # Its defaults are for a server with hundreds of clients.
            "apicurio.datasource.jdbc.initial-size": 1,
            "apicurio.datasource.jdbc.min-size": 1,
            "apicurio.datasource.jdbc.max-size": 8,
        }
        return self._guarded(
            [
                *self._java(f"-Xmx{self.heap}", "-XX:TieredStopAtLevel=1"),
                *(f"-D{name}={value}" for name, value in settings.items()),
                *("-jar", str(self.program / "quarkus-run.jar")),
            ]
        )

    def is_healthy(self, state: PlatformState) -> bool:
        """Whether it lists its subjects."""
        return registry_answers(state.registry_url)


def new_cluster_id() -> str:
    """A random cluster id as Kafka writes it: 16 bytes, base64 for URLs, never with a leading ``-`` (an option)."""
    raw = uuid.uuid4().bytes
    return base64.urlsafe_b64encode(bytes([raw[0] & 0x7F]) + raw[1:]).decode().rstrip("=")


def kafka_answers(bootstrap_servers: str, port: int) -> bool:
    """Whether a broker answers a metadata request."""
    if not accepts_connections(port):  # spares librdkafka's complaints on standard error
        return False
    config: dict[str, Any] = {"bootstrap.servers": bootstrap_servers, "log_level": 0, "error_cb": lambda _error: None}
    admin = AdminClient(config)
    try:
        return bool(admin.list_topics(timeout=_HEALTH_TIMEOUT_SECONDS).brokers)
    except KafkaException:
        return False


def registry_answers(registry_url: str) -> bool:
    """Whether a registry lists its subjects."""
    try:
        # Without the environment's proxy, which must not be asked for the loopback interface.
        with httpx.Client(trust_env=False, timeout=_HEALTH_TIMEOUT_SECONDS) as client:
            return client.get(f"{registry_url}/subjects").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
