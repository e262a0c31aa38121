"""The embedded platform: the command, real processes and the downloaded files."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from cardwatch_contracts.errors import PlatformError
from cardwatch_platform import EmbeddedPlatform
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

pytestmark = [pytest.mark.integration, pytest.mark.faults]

_CARDWATCH = Path(sys.executable).with_name("cardwatch")
_TIMEOUT_SECONDS = 240.0


def _cardwatch(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_CARDWATCH, "platform", *arguments],
        env={**os.environ, "CARDWATCH_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )


def _processes_of(home: Path) -> list[psutil.Process]:
    """The processes with the home in their command line: services and guards."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        if any(str(home) in argument for argument in command) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def _wait_until_none(home: Path, timeout_seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + timeout_seconds
    while (left := _processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _create_topic(bootstrap_servers: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})  # must live until the result is there
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(60)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a platform started by the command."""
    home = tmp_path_factory.mktemp("daemon")
    result = _cardwatch(home, "up", "--timeout", str(_TIMEOUT_SECONDS))
    assert result.returncode == 0, result.stderr
    yield home
    _cardwatch(home, "down")


def _state(home: Path) -> dict[str, object]:
    state: dict[str, object] = json.loads((home / "platform.json").read_text())
    return state


def test_second_up_finds_it_running_at_once(home: Path) -> None:
    before = _state(home)
    began = time.monotonic()
    result = _cardwatch(home, "up")
    took = time.monotonic() - began
    assert result.returncode == 0, result.stderr
    assert "up already" in result.stderr
    assert _state(home) == before
    # Interpreter and imports included, on a machine that is busy with other tests.
    assert took < 5.0


def test_status_and_env_name_the_same_platform(home: Path) -> None:
    status = _cardwatch(home, "status")
    assert status.returncode == 0, status.stdout
    exports = dict(
        line.removeprefix("export ").split("=", 1) for line in _cardwatch(home, "env").stdout.splitlines() if line
    )
    assert exports["CARDWATCH_KAFKA_BOOTSTRAP_SERVERS"] in status.stdout
    assert exports["CARDWATCH_SCHEMA_REGISTRY_URL"] in status.stdout
    assert exports["CARDWATCH_SCHEMA_REGISTRY_URL"].endswith("/apis/ccompat/v7")
    jars = exports["CARDWATCH_SPARK_CLASSPATH"].split(os.pathsep)
    assert jars
    assert all(Path(jar).is_file() for jar in jars)
    java = subprocess.run(
        [Path(exports["CARDWATCH_SPARK_JAVA_HOME"]) / "bin" / "java", "--add-modules=jdk.incubator.vector", "-version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert java.returncode == 0, java.stderr


def test_schemas_ids_and_messages_survive_a_restart(home: Path) -> None:
    state = _state(home)
    registry = str(state["registry_url"])
    kafka = str(state["bootstrap_servers"])
    subject = f"{registry}/subjects/survivor-value"
    other = f"{registry}/subjects/other-value"
    with httpx.Client(trust_env=False, timeout=10.0) as client:
        client.post(f"{other}/versions", json={"schema": '"int"'}).raise_for_status()
        schema_id = client.post(f"{subject}/versions", json={"schema": '"string"'}).raise_for_status().json()["id"]
        client.put(f"{registry}/config/survivor-value", json={"compatibility": "FULL_TRANSITIVE"}).raise_for_status()
    _create_topic(kafka, "survivor")
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce("survivor", b"still here")
    assert producer.flush(30) == 0

    assert _cardwatch(home, "down").returncode == 0
    assert _processes_of(home) == []
    assert _cardwatch(home, "status").returncode == 3
    assert _cardwatch(home, "env").returncode == 1
    started = _cardwatch(home, "up", "--timeout", str(_TIMEOUT_SECONDS))
    assert started.returncode == 0, started.stderr

    after = _state(home)
    assert (after["kafka_port"], after["registry_port"]) == (state["kafka_port"], state["registry_port"])
    with httpx.Client(trust_env=False, timeout=10.0) as client:
        assert client.get(f"{subject}/versions/1").raise_for_status().json()["id"] == schema_id
        assert client.get(f"{registry}/schemas/ids/{schema_id}").raise_for_status().json()["schema"] == '"string"'
        config = client.get(f"{registry}/config/survivor-value").raise_for_status().json()
        assert config["compatibilityLevel"] == "FULL_TRANSITIVE"
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "survivors", "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe(["survivor"])
        message = consumer.poll(60.0)
        assert message is not None
        assert message.value() == b"still here"
    finally:
        consumer.close()


def test_a_second_platform_in_the_same_home_is_refused(home: Path) -> None:
    before = _state(home)
    with pytest.raises(PlatformError, match=r"is running in .* already"), EmbeddedPlatform(home):
        pytest.fail("two platforms in one home")
    assert _state(home) == before
    assert _cardwatch(home, "status").returncode == 0


def test_up_restarts_components_that_have_died(home: Path) -> None:
    state = json.loads((home / "platform.json").read_text())
    os.kill(state["components"]["kafka"]["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while "up" in (status := _cardwatch(home, "status")).stdout.split("kafka")[1].split("\n")[0]:
        assert time.monotonic() < deadline, status.stdout
    assert status.returncode == 3
    result = _cardwatch(home, "up", "--timeout", str(_TIMEOUT_SECONDS))
    assert result.returncode == 0, result.stderr
    assert _cardwatch(home, "status").returncode == 0


def test_failed_start_leaves_nothing_and_shows_the_log(tmp_path: Path) -> None:
    with pytest.raises(PlatformError) as failure, EmbeddedPlatform(tmp_path, registry_heap="2m"):
        pytest.fail("a registry cannot live on 2 MB")
    assert "registry has ended" in str(failure.value)
    assert str(tmp_path / "logs" / "registry.log") in str(failure.value)
    assert _wait_until_none(tmp_path, 5.0) == []
    assert _state(tmp_path)["components"] == {}


def test_start_that_takes_too_long_leaves_nothing(tmp_path: Path) -> None:
    result = _cardwatch(tmp_path, "up", "--timeout", "1")
    assert result.returncode == 1
    assert "is not healthy after 1 s" in result.stderr
    assert "Traceback" not in result.stderr
    assert _wait_until_none(tmp_path, 5.0) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_foreground_platform_ends_with_its_command(tmp_path: Path, number: signal.Signals) -> None:
    command = subprocess.Popen(
        [_CARDWATCH, "platform", "up", "--foreground", "--timeout", str(_TIMEOUT_SECONDS)],
        env={**os.environ, "CARDWATCH_HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        # Killed in the middle of the start, before any orderly clean-up.
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while len(_processes_of(tmp_path)) < 4:  # two services, two guards
            assert time.monotonic() < deadline
            assert command.poll() is None
            time.sleep(0.1)
        command.send_signal(number)
        command.wait(60)
        assert _wait_until_none(tmp_path, 30.0) == []
    finally:
        command.kill()
        command.wait()


def test_broker_can_be_paused_and_restarted(tmp_path: Path) -> None:
    with EmbeddedPlatform(tmp_path, start_timeout_seconds=_TIMEOUT_SECONDS) as platform:
        address = platform.bootstrap_servers
        _create_topic(address, "kept")
        acknowledged: list[object] = []
        producer = Producer({"bootstrap.servers": address, "linger.ms": 0})
        producer.produce("kept", b"first")
        assert producer.flush(30) == 0

        platform.pause_broker()
        producer.produce("kept", b"second", on_delivery=lambda error, _message: acknowledged.append(error))
        assert producer.flush(2) == 1
        platform.resume_broker()
        assert producer.flush(30) == 0
        assert acknowledged == [None]

        platform.restart_broker(kill=True)
        assert platform.bootstrap_servers == address
        producer.produce("kept", b"third")
        assert producer.flush(60) == 0
        platform.restart_broker()
        producer.produce("kept", b"fourth")
        assert producer.flush(60) == 0
    assert _wait_until_none(tmp_path, 1.0) == []
