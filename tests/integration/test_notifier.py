"""The notifier as a process, on the real broker and registry."""

import base64
import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
from cardwatch_cli.webhook.receiver import WebhookReceiver
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import ALERTS, DEAD_LETTERS
from cardwatch_contracts.wire import Decoder, Encoder, Record
from cardwatch_kafka.setup import apply_all
from cardwatch_service.metrics import CONSUMER_POSITION
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families
from support.postgres_server import PostgresServer, server_or_skip
from support.topics import messages

pytestmark = pytest.mark.integration

SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()
COMMAND = Path(sys.executable).with_name("cardwatch-notifier")


class Line:
    """A deployment of its own on the shared platform: topics, outbox, and notifiers started one after another.

    ``settings`` go to the notifiers; ``beside`` is another line on whose topics these work as well.
    """

    def __init__(
        self,
        platform: Any,
        directory: Path,
        webhook_url: str,
        settings: Mapping[str, str] | None = None,
        beside: "Line | None" = None,
    ) -> None:
        self.prefix = beside.prefix if beside else f"notifier-{uuid.uuid4().hex[:8]}-"
        if beside is None:
            apply_all(platform.bootstrap_servers, platform.registry_url, self.prefix)
        directory.mkdir(exist_ok=True)
        self._platform = platform
        self._registry = ConfluentRegistry(platform.registry_url)
        self._encode = Encoder("alert", self._registry.id_of(ALERTS.subject(self.prefix), "alert"))
        self._producer = Producer({"bootstrap.servers": platform.bootstrap_servers, "linger.ms": 0})
        self._directory = directory
        self._log = directory / "notifier.log"
        self.stdout = directory / "stdout.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            **os.environ,
            "CARDWATCH_KAFKA_BOOTSTRAP_SERVERS": platform.bootstrap_servers,
            "CARDWATCH_SCHEMA_REGISTRY_URL": platform.registry_url,
            "CARDWATCH_TOPIC_PREFIX": self.prefix,
            "CARDWATCH_METRICS_PORT": "0",
            "CARDWATCH_LOG_FORMAT": "json",
            "CARDWATCH_NOTIFIER_OUTBOX_PATH": str(directory / "outbox.db"),
            "CARDWATCH_NOTIFIER_WEBHOOK_URL": webhook_url,
            "CARDWATCH_NOTIFIER_WEBHOOK_SECRET": SECRET,
            "CARDWATCH_NOTIFIER_RETRY_FIRST_SECONDS": "0.2",
            **(settings or {}),
        }

    def start(self) -> None:
        with self._log.open("ab") as log, self.stdout.open("ab") as stdout:
            self._process = subprocess.Popen(
                [COMMAND, "run"], env=self._environment, cwd=self._directory, stdout=stdout, stderr=log
            )

    def migrate(self) -> None:
        subprocess.run([COMMAND, "outbox", "migrate"], env=self._environment, cwd=self._directory, check=True)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def send(self, alert: Record | bytes) -> None:
        value = alert if isinstance(alert, bytes) else self._encode(alert)
        key = b"" if isinstance(alert, bytes) else alert["key"].encode()
        self._producer.produce(ALERTS.name(self.prefix), value, key)
        self._producer.flush(30)

    def get(self, path: str) -> httpx.Response | None:
        """What the running notifier answers, or None while it does not."""
        ports = [
            line.split('"metrics_port": ')[1] for line in self._log.read_text().splitlines() if "metrics_port" in line
        ]
        if not ports:
            return None
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{ports[-1].split(',')[0].rstrip('}')}{path}", trust_env=False)
        return None

    def sample(self, name: str, **labels: str) -> float:
        answer = self.get("/metrics")
        assert answer is not None
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def ready(self) -> bool:
        answer = self.get("/readyz")
        return answer is not None and answer.status_code == 200

    def dead_letters(self) -> list[Record]:
        decode = Decoder("dead_letter", self._registry)
        letters = messages(self._platform.bootstrap_servers, DEAD_LETTERS.name(self.prefix))
        return [decode(message.value()) for message in letters]

    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver(SECRET) as running:
        yield running


@pytest.fixture
def line(platform: Any, tmp_path: Path, receiver: WebhookReceiver) -> Iterator[Line]:
    running = Line(platform, tmp_path, receiver.url)
    yield running
    running.end()


def until(condition: Callable[[], bool], line: Line, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds:.0f} s; the notifier said: {line.log()}"
        time.sleep(0.05)


def alert(name: str, status: str = "raised", mode: str = "live") -> Record:
    now = time.time_ns() // 1000
    return {
        "alert_id": identity(name),
        "status": status,
        "rule_id": "card-velocity",
        "rule_version": 1,
        "rule_title": "Five payments with one card within two minutes",
        "severity": "high",
        "mode": mode,
        "scope": "card",
        "key": f"token-of-{name}",
        "transaction_id": f"t-{name}",
        "event_time": now,
        "card_token": "0123456789abcdef0123456789abcdef",
        "card_bin": "400000",
        "card_last_four": "0002",
        "merchant_id": "m-17",
        "country": "DE",
        "amount_minor": 123_456,
        "currency": "EUR",
        "base_amount_minor": 123_456,
        "measures": [{"name": "payments", "expression": "count(*)", "window_us": 120_000_000, "value": 5}],
        "window_start": now - 120_000_000,
        "evidence_transaction_ids": [f"t-{name}"],
        "evidence_count": 5,
        "raw_broker_time": now,
        "detected_at": now,
    }


def identity(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def test_killed_in_mid_delivery_each_alert_arrives_once_by_its_id(line: Line, receiver: WebhookReceiver) -> None:
    names = [f"n{number}" for number in range(150)]
    expected = {identity(name) for name in names}
    receiver.delay_seconds = 0.02  # so that some are always under way
    line.start()
    for name in names[:100]:
        line.send(alert(name))
    for goal in (20, 60):
        until(lambda goal=goal: len(receiver.unique_ids()) >= goal, line)  # type: ignore[misc]
        line.kill()
        assert len(receiver.unique_ids()) < len(names), "it was killed too late to prove anything"
        line.start()
    for name in names[100:]:
        line.send(alert(name))
    # At least once upstream: the same again, at other offsets. And two that turn out wrong.
    for name in names[:20]:
        line.send(alert(name))
    for name in names[:2]:
        line.send(alert(name, "retracted"))
        expected.add(f"{identity(name)}-2")
    until(lambda: receiver.unique_ids() >= expected, line)
    until(lambda: line.sample("cardwatch_notifier_outbox_messages") == 0, line)
    assert line.stop() == 0, line.log()
    assert receiver.unique_ids() == expected
    assert receiver.bad_signatures == 0
    bodies: dict[str, Any] = {}
    for request in receiver.requests:
        assert bodies.setdefault(request.webhook_id, request.body) == request.body
    lines = line.stdout.read_text().splitlines()
    assert {text.rsplit("alert ", 1)[1] for text in lines} == {identity(name) for name in names}
    assert sum("RETRACTED" in text for text in set(lines)) == 2


def test_the_working_day_of_a_notifier(line: Line, receiver: WebhookReceiver) -> None:
    line.start()
    until(line.ready, line)

    # An alert reaches an idle receiver at once.
    for number in range(20):
        line.send(alert(f"quick{number}"))
        until(lambda number=number: identity(f"quick{number}") in receiver.unique_ids(), line)  # type: ignore[misc]
    assert median(map(latency_seconds, receiver.accepted)) < 0.25

    # A message that is no alert is kept, and those behind it are delivered.
    line.send(b"no alert at all")
    line.send(alert("shadow", mode="shadow"))
    receiver.fail_next(2, 503)
    line.send(alert("stubborn"))
    until(lambda: identity("stubborn") in receiver.unique_ids(), line)
    attempts = [request for request in receiver.requests if request.webhook_id == identity("stubborn")]
    assert [request.status for request in attempts] == [503, 503, 204]
    assert identity("shadow") not in {request.webhook_id for request in receiver.requests}

    until(lambda: line.sample(CONSUMER_POSITION) == 23, line)
    (letter,) = line.dead_letters()
    assert (letter["reason"], letter["value"], letter["service"]) == (
        Reason.NOT_CONFLUENT_FRAMED, b"no alert at all", "notifier",
    )  # fmt: skip
    assert line.sample("cardwatch_messages_refused_total", reason=Reason.NOT_CONFLUENT_FRAMED) == 1
    assert line.sample("cardwatch_notifier_deliveries_total", receiver="webhook", outcome="delivered") == 21
    assert line.sample("cardwatch_latency_seconds_count", start="raw_broker_time", end="delivered") == 21

    # A clean stop, and nothing is told again after the next start.
    requests = len(receiver.requests)
    assert line.stop() == 0, line.log()
    line.start()
    until(line.ready, line)
    line.send(alert("last"))
    until(lambda: identity("last") in receiver.unique_ids(), line)
    assert len(receiver.requests) == requests + 1


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with server_or_skip() as server:
        yield server


def test_replicas_on_one_database_outlive_a_kill_and_its_absence(
    platform: Any, tmp_path: Path, receiver: WebhookReceiver, postgres: PostgresServer
) -> None:
    """One of two notifiers is killed with messages in its hands, and the database with it."""
    database = postgres.new_database()
    settings = {
        "CARDWATCH_NOTIFIER_OUTBOX_URL": postgres.url(database),
        "CARDWATCH_NOTIFIER_OUTBOX_LEASE_SECONDS": "4",
        "CARDWATCH_NOTIFIER_WEBHOOK_TIMEOUT_SECONDS": "2",
        "CARDWATCH_NOTIFIER_STDOUT": "false",
    }
    survivor = Line(platform, tmp_path / "survivor", receiver.url, settings)
    victim = Line(platform, tmp_path / "victim", receiver.url, settings, beside=survivor)
    survivor.migrate()
    try:
        for line in (survivor, victim):
            line.start()
        for line in (survivor, victim):
            until(line.ready, line)
        receiver.delay_seconds = 0.2
        names = [f"n{number}" for number in range(130)]
        expected = {identity(name) for name in names}
        for name in names[:100]:
            survivor.send(alert(name))
        until(lambda: postgres.execute("SELECT sum(next_offset) FROM positions", database) == [(100,)], survivor)
        until(lambda: victim.sample("cardwatch_notifier_deliveries_total", outcome="delivered") > 0, victim)
        victim.kill()
        postgres.kill()
        assert len(receiver.unique_ids()) < 100, "it was killed too late to prove anything"

        # The partitions of the dead go to the survivor, which cannot ask the outbox where to go on: it waits.
        until(lambda: "not reading yet" in survivor.log(), survivor)
        for name in names[100:]:
            survivor.send(alert(name))
        for name in names[:2]:
            survivor.send(alert(name))
            survivor.send(alert(name, "retracted"))
            expected.add(f"{identity(name)}-2")
        assert not survivor.ready()
        assert survivor.sample("cardwatch_notifier_outbox_available") == 0
        postgres.start()
        receiver.delay_seconds = 0.0
        until(lambda: receiver.unique_ids() >= expected, survivor)
        until(lambda: survivor.sample("cardwatch_notifier_outbox_messages") == 0, survivor)
        until(survivor.ready, survivor)
        assert survivor.sample("cardwatch_notifier_deliveries_total", outcome="delivered") > 0
        assert survivor.stop() == 0, survivor.log()
    finally:
        survivor.end()
        victim.end()
    assert receiver.unique_ids() == expected
    order = [request.webhook_id for request in receiver.accepted]
    for name in names[:2]:
        assert order.index(identity(name)) < order.index(f"{identity(name)}-2")
    # Made again, under the same ids: at most what was in the hands of the killed one and of the one that waited.
    assert len(order) - len(expected) <= 2 * 64


def latency_seconds(request: Any) -> float:
    published = datetime.fromisoformat(request.body["data"]["detected_at"]).timestamp()
    return float(request.received_at / 1e6 - published)
