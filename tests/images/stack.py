"""docker-compose.yml under a project name, ports and secrets of its own."""

import json
import os
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from cardwatch_cli.demo.recorded import Recorded, read_back
from cardwatch_cli.demo.results import Delivery
from cardwatch_cli.demo.topics import open_reader
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_kafka.messages import TopicPartition
from cardwatch_platform.ports import choose_ports
from cardwatch_service.metrics import CONSUMER_POSITION
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
# What is behind the tag of a third-party image: its variable, and the digest.
DIGEST: Final = re.compile(r"\$\{(CARDWATCH_\w+_DIGEST)-(@sha256:[0-9a-f]+)\}")
DIGESTS: Final = [name for name, _ in DIGEST.findall((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))]
PROFILES: Final = ("core", "observability", "demo")
# A service of each image that is built here.
OWN_IMAGES: Final = ("producer", "enricher", "detector", "notifier", "snowflake-loader", "cardwatch")
GRAFANA: Final = "grafana"  # has no stand-in
TOKEN_KEY_ID: Final = "compose-1"

_BUILD_SECONDS: Final = 2400
_COMMAND_SECONDS: Final = 900
_POLL_SECONDS: Final = 1.0
_PORTS: Final = ("KAFKA", "REGISTRY", "PROMETHEUS", "ALERTMANAGER", "GRAFANA")


class Stack:
    """One running project. ``standins`` creates images on a machine that cannot pull any; empty for none."""

    def __init__(self, directory: Path, standins: str) -> None:
        self._standins: Final = standins
        self._ports: Final = dict(zip(_PORTS, choose_ports(len(_PORTS)), strict=True))
        self.secrets: Final = directory / "secrets"
        self._env: Final = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CARDWATCH_", "COMPOSE_"))},
            **{f"CARDWATCH_{name}_PORT": str(port) for name, port in self._ports.items()},
            "COMPOSE_PROJECT_NAME": f"cardwatch-test-{uuid.uuid4().hex[:8]}",
            "COMPOSE_PROFILES": ",".join(PROFILES),
            # A developer's .env is another deployment's.
            "COMPOSE_ENV_FILES": str(ROOT / ".env.example"),
            "CARDWATCH_IMAGES": "cardwatch-test/",
            "CARDWATCH_SECRETS": str(self.secrets),
            "CARDWATCH_DEMO_RATE": "50",
        }
        if standins:
            self._env["DOCKER_BUILDKIT"] = "0"
            # A stand-in has another content, so another digest.
            self._env.update(dict.fromkeys(DIGESTS, ""))
        self.bootstrap_servers: Final = f"127.0.0.1:{self._ports['KAFKA']}"
        self.registry_url: Final = f"http://127.0.0.1:{self._ports['REGISTRY']}/apis/ccompat/v7"
        self._told: list[Delivery] = []

    @property
    def services(self) -> list[str]:
        """The names of the services that are started."""
        return [
            name
            for name, service in COMPOSE["services"].items()
            if set(service["profiles"]) & set(PROFILES) and not (self._standins and name == GRAFANA)
        ]

    def image(self, service: str) -> str:
        """The image's reference."""
        text: str = COMPOSE["services"][service]["image"]
        text = DIGEST.sub(lambda found: self._env.get(found[1], found[2]), text)
        return text.replace("${CARDWATCH_IMAGES:-cardwatch/}", self._env["CARDWATCH_IMAGES"]).replace(
            "${CARDWATCH_VERSION:-0.1.0}", self._env.get("CARDWATCH_VERSION", "0.1.0")
        )

    def prepare(self) -> None:
        """Create secrets and stand-ins, and build all images, one after the other."""
        self.script("secrets")
        bases = {self.image(name) for name in self.services if "build" not in COMPOSE["services"][name]}
        if self._standins:
            known = subprocess.run(
                ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"],
                check=True, capture_output=True, text=True, timeout=_COMMAND_SECONDS,
            ).stdout.split()  # fmt: skip
            if missing := sorted((bases | {"python:3.11-slim-bookworm"}) - set(known)):
                subprocess.run([self._standins, "image", *missing], check=True, timeout=_BUILD_SECONDS)
        for service in OWN_IMAGES:
            self.compose("--profile", "*", "build", "--quiet", service, timeout=_BUILD_SECONDS)

    def up(self, *arguments: str) -> None:
        """Start all services and wait until they are healthy."""
        self.compose("up", "--detach", "--no-build", *arguments, *self.services, timeout=_COMMAND_SECONDS)
        self.wait_well()

    def down(self, *arguments: str) -> None:
        """Remove the containers."""
        self.remember()
        self.compose("--profile", "*", "down", *arguments, timeout=_COMMAND_SECONDS)

    def remember(self) -> None:
        """Keep the deliveries to the webhook before its container is removed with its log."""
        self.compose("stop", "webhook")  # so that it receives nothing after its log was read
        self._told = self.deliveries()

    def script(self, *arguments: str) -> str:
        """Run scripts/compose."""
        done = subprocess.run(
            [str(ROOT / "scripts/compose"), *arguments],
            cwd=ROOT, env=self._env, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(f"scripts/compose {' '.join(arguments)} failed: {done.stderr}")
        return done.stdout

    def renew(self, secret: str) -> str:
        """Replace a secret, as docs/compose.md says, and return the new one."""
        (self.secrets / secret).unlink()
        self.script("secrets")
        return (self.secrets / secret).read_text(encoding="utf-8")

    def use_version(self, version: str) -> None:
        """Set CARDWATCH_VERSION; the images under that tag are those that were built."""
        for service in OWN_IMAGES:
            name = self.image(service).rpartition(":")[0]
            subprocess.run(["docker", "tag", self.image(service), f"{name}:{version}"], check=True)
        self._env["CARDWATCH_VERSION"] = version

    def wait_well(self, timeout: float = 600.0) -> None:
        """Wait until services are healthy and jobs have ended with exit code 0."""
        until(lambda: not self.unwell(), timeout, lambda: f"not well: {self.unwell()}")

    def unwell(self) -> dict[str, str]:
        """The problem of each unhealthy container."""
        containers = self.containers()
        found = {name: "absent" for name in self.services if not any(c["Service"] == name for c in containers)}
        for container in containers:
            job = COMPOSE["services"][container["Service"]].get("restart") == "no"
            well = (
                (container["State"], container["ExitCode"]) == ("exited", 0)
                if job
                else container["Health"] == "healthy"
            )
            if not well:
                found[container["Name"]] = f"{container['State']} {container['ExitCode']} {container['Health']}"
        return found

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """``docker compose ps``, stopped ones included."""
        text = self.compose("ps", "--all", "--format", "json", *services)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def inspect(self, container: str) -> dict[str, Any]:
        """``docker inspect``."""
        output = subprocess.run(["docker", "inspect", container], check=True, capture_output=True, text=True).stdout
        found: dict[str, Any] = json.loads(output)[0]
        return found

    def compose(self, *arguments: str, timeout: float = _COMMAND_SECONDS) -> str:
        """Run docker compose; returns its output."""
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=ROOT, env=self._env, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(
                f"docker compose {' '.join(arguments)} failed: {done.stderr[-3000:]}{done.stdout[-2000:]}"
            )
        return done.stdout

    def psql(self, statement: str) -> None:
        """Run a statement on PostgreSQL, as docs/compose.md describes."""
        # The stand-in has its socket elsewhere.
        where = ["--env", "PGHOST=/tmp"] if self._standins else []
        self.compose("exec", "-T", *where, "postgres", "psql", "-qU", "cardwatch_notifier", "-c", statement)

    def stop(self, service: str) -> tuple[float, list[int]]:
        """Stop a service's containers; returns how long that took, in seconds, and their exit codes."""
        began = time.monotonic()
        self.compose("stop", service)
        took = time.monotonic() - began
        return took, [container["ExitCode"] for container in self.containers(service)]

    def kill(self, service: str) -> None:
        """SIGKILL a service's containers, in the middle of their work, and start them again."""
        self.compose("kill", "--signal", "KILL", service)
        self.compose("start", service)

    def metrics(self, service: str) -> Iterator[Any]:
        """The samples of a metric from every replica."""
        for container in self.containers(service):
            command = ["docker", "exec", container["Name"], "python", "-m", "cardwatch_service.probe", "/metrics"]
            text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
            for family in text_string_to_metric_families(text):
                yield from family.samples

    def prometheus(self, path: str, **parameters: str) -> Any:
        """An answer of Prometheus' API."""
        address = f"http://127.0.0.1:{self._ports['PROMETHEUS']}/api/v1/{path}"
        return httpx.get(address, params=parameters, timeout=10, trust_env=False).raise_for_status().json()["data"]

    def deliveries(self) -> list[Delivery]:
        """The requests that the webhook receivers got, including those before a ``down``."""
        lines = self.compose("logs", "--no-log-prefix", "--no-color", "webhook").splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return [
            *self._told,
            *(Delivery(x["webhook_id"], x["data"]["alert_id"], x["data"]["status"], x["received_at"]) for x in told),
        ]

    def ends(self, *topics: str) -> Mapping[TopicPartition, int]:
        """The end offsets of topics."""
        with closing(open_reader(self.bootstrap_servers)) as reader:
            return reader.end_offsets(*topics)

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """The offsets that a consumer group has committed."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        answer = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(20)
        return {(at.topic, at.partition): at.offset for at in answer.topic_partitions or []}

    def members(self, group: str) -> list[int]:
        """How many partitions each member of a consumer group has."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        answer = admin.describe_consumer_groups([group])[group].result(20)
        return [len(member.assignment.topic_partitions) for member in answer.members]

    def positions(self, service: str) -> dict[tuple[str, int], int]:
        """The next offsets that a service has not safely processed, by its metrics."""
        return {
            (sample.labels["topic"], int(sample.labels["partition"])): int(sample.value)
            for sample in self.metrics(service)
            if sample.name == CONSUMER_POSITION
        }

    def wait_until_read(self, topics: tuple[str, ...], position: Callable[[], Mapping[tuple[str, int], int]]) -> None:
        """Wait until everything that is in topics has been processed."""

        def left() -> int:
            at = position()
            return sum(max(0, end - at.get(partition, 0)) for partition, end in self.ends(*topics).items())

        until(lambda: left() == 0, 600.0, lambda: f"{left()} messages of {topics} are left")

    def recorded(self) -> Recorded:
        """Everything that is in the topics, read from outside."""
        key = bytes.fromhex((self.secrets / "cardwatch_token_key").read_text(encoding="utf-8"))
        with closing(open_reader(self.bootstrap_servers)) as reader:
            return read_back(
                reader,
                ConfluentRegistry(self.registry_url),
                topic_prefix="",
                token_key=key,
                token_key_id=TOKEN_KEY_ID,
            )


def until(true: Callable[[], bool], timeout: float, problem: Callable[[], str]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout:.0f} s: {problem()}")
        time.sleep(_POLL_SECONDS)
