"""Two real processes at one place: on a store with S3's protocol, and the services and commands that use leases."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
from cardwatch_cli.main import app
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.leases.keeper import hold
from cardwatch_lakehouse.leases.lease import LeaseTimes
from cardwatch_lakehouse.leases.opening import WRITER, open_lease
from cardwatch_lakehouse.leases.store import LeaseHeldError, LeaseLostError, LeaseStoreError
from cardwatch_lakehouse.locations import locate
from cardwatch_platform.ports import HOST, free_port
from deltalake import write_deltalake
from support.object_store import BUCKET, ObjectStore
from support.platforms import Platform
from support.processes import installed_command, service_environment
from support.waiting import wait_until
from typer.testing import CliRunner

pytestmark = [pytest.mark.integration, pytest.mark.faults]

TIMES = LeaseTimes(ttl_seconds=2, renew_seconds=0.3, look_seconds=0.2)
HOLDER = f"""
import sys, time
from cardwatch_contracts.errors import CardwatchError
from cardwatch_lakehouse.leases.keeper import hold
from cardwatch_lakehouse.leases.lease import LeaseTimes
from cardwatch_lakehouse.leases.opening import open_lease
lease = open_lease(sys.argv[1], sys.argv[2], "detector", times={TIMES!r})
with hold([lease]):
    print(lease.epoch, flush=True)
    try:
        while True:
            lease.check()
            time.sleep(0.05)
    except CardwatchError as error:
        print(error, flush=True)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    made = ObjectStore(tmp_path_factory.mktemp("store"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.variables.items():
            patch.setenv(name, value)
        yield made
    made.stop()


@contextmanager
def holder(directory: str, name: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a lease until it loses it, and then says why."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, directory, name], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip().isdecimal()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_on_a_store_a_second_process_is_refused_and_a_silent_one_is_fenced(store: ObjectStore) -> None:
    directory = f"s3a://{BUCKET}/checkpoints"
    with holder(directory, "velocity") as first:
        with pytest.raises(LeaseHeldError, match=rf"detector on \S+ \(process {first.pid}\), since "):
            open_lease(directory, "velocity", "detector", times=TIMES).acquire()
        waits: list[float] = []
        first.send_signal(signal.SIGSTOP)
        second = open_lease(directory, "velocity", "second", times=TIMES)
        second.acquire(lambda record, left: waits.append(left))
        assert waits[0] == pytest.approx(TIMES.ttl_seconds, abs=0.1)
        assert second.epoch == 2
        first.send_signal(signal.SIGCONT)
        assert first.stdout is not None
        assert "this process has lost the lease s3://lake/checkpoints/_leases/velocity.json to second on" in (
            first.stdout.readline()
        )
        second.renew()
        second.release()


def test_on_a_store_a_killed_process_of_the_same_machine_is_followed_at_once(store: ObjectStore) -> None:
    directory = f"s3a://{BUCKET}/killed"
    with holder(directory, "velocity") as first:
        first.kill()
        first.wait()
        waits: list[float] = []
        second = open_lease(directory, "velocity", "second")
        second.acquire(lambda record, left: waits.append(left))
        assert waits == []
        assert second.epoch == 2
        second.release()


def test_of_many_that_start_at_once_one_gets_the_lease(store: ObjectStore) -> None:
    directory = f"s3a://{BUCKET}/many"
    leases = [open_lease(directory, "velocity", f"process {number}", times=TIMES) for number in range(8)]
    winners: list[int] = []
    over = threading.Event()

    def take(number: int) -> None:
        with suppress(LeaseHeldError), hold([leases[number]]):
            winners.append(number)
            over.wait()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum(thread.is_alive() for thread in threads) == 1, "the others' refusal", seconds=30)
    leases[winners[0]].renew()
    over.set()
    for thread in threads:
        thread.join()
    assert len(winners) == 1


class IgnorantStore(BaseHTTPRequestHandler):
    """A store with S3's protocol that ignores the conditions of writes."""

    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["content-length"]))
        self._answer(200)

    def do_GET(self) -> None:
        self._answer(200 if self.path in self.objects else 404, self.objects.get(self.path, b""))

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("etag", '"1"')
        self.send_header("last-modified", "Mon, 30 Nov 2026 18:00:00 GMT")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_store_that_ignores_conditions_protects_nothing_and_is_refused(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer((HOST, 0), type("Handler", (IgnorantStore,), {"objects": {}}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{HOST}:{server.server_port}")
    try:
        with pytest.raises(ConfigurationError, match="ignores the conditions of writes"):
            open_lease(f"s3a://{BUCKET}/x", "velocity", "detector").acquire()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_store_that_does_not_answer_is_no_permission(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{HOST}:{free_port()}")
    with pytest.raises(LeaseStoreError, match=r"the lease s3://lake/x/_leases/velocity\.json cannot be read"):
        open_lease(f"s3a://{BUCKET}/x", "velocity", "detector").acquire()


def test_maintenance_is_refused_beside_a_running_lakehouse(store: ObjectStore) -> None:
    tables = f"s3a://{BUCKET}/maintained"
    place = locate(tables).of("gold.alerts")
    for ids in (["a"], ["b"]):
        write_deltalake(place.uri, pa.table({"alert_id": ids}), mode="append", storage_options=place.options())
    versions = store.names("maintained/gold/alerts/_delta_log")
    commands = (
        ("optimize",),
        ("vacuum",),
        ("retain", "--gold", "1d"),
        ("forget", "--card-token", "0" * 32, "--yes", "--grace", "0s"),
    )

    def run(*command: str) -> tuple[int, str]:
        outcome = CliRunner().invoke(app, ["tables", *command, "--tables-dir", tables])
        return outcome.exit_code, outcome.stderr

    lakehouse = open_lease(tables, WRITER, "lakehouse", times=LeaseTimes(15, 0.2, 0.2))
    with hold([lakehouse]):
        for command in commands:
            code, error = run(*command)
            assert code == 1, command
            assert f"lakehouse on {os.uname().nodename} (process {os.getpid()}), since 20" in error
        assert store.names("maintained/gold/alerts/_delta_log") == versions
        assert run("optimize", "--dry-run")[0] == run("list")[0] == 0
        # Spark's rebuild would take long to start: it is refused before.
        rebuilding = ("rebuild", "--to", tables, "--only", "alerts")
        outcome = CliRunner().invoke(app, ["tables", *rebuilding, "--tables-dir", f"s3a://{BUCKET}/other"])
        assert outcome.exit_code == 1
    assert run("optimize")[0] == 0
    assert run("vacuum")[0] == 0
    with pytest.raises(LeaseLostError):
        lakehouse.check()


RULES = "rules: [{id: a, title: A, scope: card, when: base_amount_minor > 5}]"


@pytest.mark.parametrize("service", ["velocity", "lakehouse"])
def test_a_second_service_is_refused_before_it_starts_spark(
    service: str, platform: Platform, topic_prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    settings = {
        "CARDWATCH_SPARK_JAVA_HOME": "/there/is/no/java",
        "CARDWATCH_DETECTOR_RULES": str(tmp_path / "rules.yaml"),
        "CARDWATCH_DETECTOR_CHECKPOINT_DIR": str(tmp_path),
        "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": str(tmp_path),
        "CARDWATCH_LAKEHOUSE_TABLES_DIR": str(tmp_path / "tables"),
    }
    environment = service_environment(platform, topic_prefix, **settings)
    name = "velocity-card-merchant" if service == "velocity" else "lakehouse"
    with holder(str(tmp_path), name) as first:
        second = subprocess.run(
            [installed_command("cardwatch-detector"), service],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert second.returncode == 1
    assert f"(process {first.pid}), since" in second.stderr
    assert "two processes must not work there at the same time" in second.stderr
    assert not (tmp_path / "tables" / "bronze").exists()
