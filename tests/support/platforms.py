"""The broker and the schema registry on which tests run: embedded in this machine, or containers."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from cardwatch_platform import EmbeddedPlatform, PlatformSettings, SilentReporter
from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.embedded import environment, spark_classpath, spark_java_home
from cardwatch_platform.ports import HOST, free_port
from cardwatch_platform.state import PlatformState

PLATFORM_VARIABLE: Final = "CARDWATCH_TEST_PLATFORM"

_START_TIMEOUT_SECONDS: Final = 240.0
_KAFKA_IMAGE: Final = "apache/kafka:4.1.1"
_REGISTRY_IMAGE: Final = "apicurio/apicurio-registry:3.3.3"


class Platform(Protocol):
    """The interface of the platform that tests may use, embedded or in containers."""

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka clients connect."""

    @property
    def registry_url(self) -> str:
        """The registry's Confluent-compatible interface."""

    @property
    def spark_java_home(self) -> Path:
        """A ``JAVA_HOME`` for Spark."""

    @property
    def spark_classpath(self) -> str:
        """The jars that Spark needs."""

    def environment(self) -> dict[str, str]:
        """The settings with which a service finds it."""

    def pause_broker(self) -> None:
        """Freeze the broker: connections stay open, nothing answers."""

    def resume_broker(self) -> None:
        """Continue it after ``pause_broker``."""

    def restart_broker(self, kill: bool = False) -> None:
        """Stop or kill the broker and start it again at the same address."""


class ContainerPlatform:
    """The same broker and registry as containers: for a machine that has Docker and wants no JVMs of its own."""

    def __init__(self) -> None:
        self._settings = PlatformSettings()
        self._state = PlatformState(kafka_port=free_port(), registry_port=free_port())
        self._containers = ExitStack()
        self._broker: Any = None

    def __enter__(self) -> Self:
        from testcontainers.core.container import DockerContainer
        from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

        # The same port inside and outside, so that the one address it gives to clients is also right for itself; and
        # fixed, because a restarted container would get another.
        port = self._state.kafka_port
        with ExitStack() as containers:
            broker = DockerContainer(_KAFKA_IMAGE).with_bind_ports(port, (HOST, port))
            for name, value in {
                "KAFKA_NODE_ID": "1",
                "KAFKA_PROCESS_ROLES": "broker,controller",
                "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://:9093",
                "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{HOST}:{port}",
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
                "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
                "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
                "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
                "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
                "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
                "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
                "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            }.items():
                broker.with_env(name, value)
            broker.waiting_for(LogMessageWaitStrategy("Kafka Server started"))
            self._broker = containers.enter_context(broker)
            containers.enter_context(
                DockerContainer(_REGISTRY_IMAGE)
                .with_bind_ports(8080, (HOST, self._state.registry_port))
                .waiting_for(HttpWaitStrategy(8080, "/apis/ccompat/v7/subjects").for_status_code(200))
            )
            self._containers = containers.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._containers.close()

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka clients connect."""
        return f"{HOST}:{self._state.kafka_port}"

    @property
    def registry_url(self) -> str:
        """The registry's Confluent-compatible interface."""
        return self._state.registry_url

    @property
    def spark_java_home(self) -> Path:
        """A ``JAVA_HOME`` for Spark."""
        return spark_java_home(self._settings)

    @property
    def spark_classpath(self) -> str:
        """The jars that Spark needs."""
        return spark_classpath(self._settings, load_lock())

    def environment(self) -> dict[str, str]:
        """The settings with which a service finds it."""
        return environment(self._state, self._settings, load_lock())

    def pause_broker(self) -> None:
        """Freeze the broker: connections stay open, nothing answers."""
        self._broker.get_wrapped_container().pause()

    def resume_broker(self) -> None:
        """Continue it after ``pause_broker``."""
        self._broker.get_wrapped_container().unpause()

    def restart_broker(self, kill: bool = False) -> None:
        """Stop or kill the broker and start it again at the same address."""
        container = self._broker.get_wrapped_container()
        if kill:
            container.kill()
            container.start()
        else:
            container.restart()


def choose_platform(name: str, directory: Path) -> EmbeddedPlatform | ContainerPlatform:
    """The platform that ``CARDWATCH_TEST_PLATFORM`` names, not started; ``directory`` is for its data.

    Raises:
        ValueError: the name is neither ``embedded`` nor ``containers``.
    """
    if name == "containers":
        return ContainerPlatform()
    if name == "embedded":
        return EmbeddedPlatform(directory, reporter=SilentReporter(), start_timeout_seconds=_START_TIMEOUT_SECONDS)
    raise ValueError(f"{PLATFORM_VARIABLE}: expected 'embedded' (the default) or 'containers', got {name!r}")
